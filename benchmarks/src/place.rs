//! Where a store is kept: memory, a folder, a bucket; reached in our way and in that of `object_store`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use backend_fs::FsProvider;
use backend_memory::MemoryProvider;
use backend_s3::{Credentials, Http, Names, S3Provider};
use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use storage_core::{Secret, StorageProvider};
use storage_wrappers::TokioEnv;

const SERVER: &str = "CLOUDBANK_TEST_SEAWEEDFS";
const ACCESS_KEY: &str = "cloudbank";
const SECRET_KEY: &str = "cloudbank-secret";
const REGION: &str = "us-east-1";

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Memory of this process.
    Memory,
    /// A folder, synced so that what is acknowledged survives a loss of power.
    Fs,
    /// A bucket of the S3 server that the environment names.
    S3,
}

impl Place {
    /// All that can be measured here; says so where there is no server.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Memory, Self::Fs];
        if std::env::var(SERVER).is_ok_and(|url| !url.is_empty()) {
            all.push(Self::S3);
        } else {
            eprintln!("no S3 server: set {SERVER}, or use cargo xtask bench");
        }
        all
    }

    /// As it is called in arguments and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fs => "fs",
            Self::S3 => "s3",
        }
    }
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "memory" => Ok(Self::Memory),
            "fs" => Ok(Self::Fs),
            "s3" => Ok(Self::S3),
            _ => bail!("no place `{name}`; there are memory, fs, s3"),
        }
    }
}

/// A place that is there: what is put one way is not seen the other way, as the names differ.
#[derive(Debug)]
pub struct Site {
    /// Which kind it is.
    pub place: Place,
    /// The folder's path or the bucket's name, for [`open`](Self::open) in another process.
    pub address: String,
    /// Our way.
    pub provider: Arc<dyn StorageProvider>,
    /// Theirs.
    pub objects: Arc<dyn ObjectStore>,
    /// How many bytes of ours are in memory before they go into segments, if not as many as by default.
    pub flush_bytes: Option<usize>,
}

impl Site {
    /// Makes an empty one.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub async fn make(place: Place) -> Result<Self> {
        let address = match place {
            Place::Memory => String::new(),
            Place::Fs => {
                let folder = tempfile::Builder::new().prefix("cloudbank-bench-").tempdir()?.keep();
                folder.to_str().context("the temporary folder has no name in UTF-8")?.to_owned()
            }
            Place::S3 => {
                let bucket = format!("cb-bench-{:016x}", rand::random::<u64>());
                S3Provider::create(&s3(&bucket)?).await?;
                bucket
            }
        };
        Self::open(place, address).await
    }

    /// Opens one that was made before, perhaps by another process.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub async fn open(place: Place, address: String) -> Result<Self> {
        let provider: Arc<dyn StorageProvider> = match place {
            Place::Memory => Arc::new(MemoryProvider::new()),
            Place::Fs => {
                let config = backend_fs::Config::new(PathBuf::from(&address).join("ours"));
                Arc::new(FsProvider::open(config.create(true)).await?)
            }
            Place::S3 => Arc::new(S3Provider::open(s3(&address)?).await?),
        };
        let objects: Arc<dyn ObjectStore> = match place {
            Place::Memory => Arc::new(InMemory::new()),
            Place::Fs => {
                let folder = PathBuf::from(&address).join("theirs");
                std::fs::create_dir_all(&folder)?;
                Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
            }
            Place::S3 => Arc::new(
                AmazonS3Builder::new()
                    .with_endpoint(std::env::var(SERVER)?)
                    .with_bucket_name(&address)
                    .with_region(REGION)
                    .with_access_key_id(ACCESS_KEY)
                    .with_secret_access_key(SECRET_KEY)
                    .with_allow_http(true)
                    .build()?,
            ),
        };
        Ok(Self { place, address, provider, objects, flush_bytes: None })
    }

    /// Removes it with all that is there.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub async fn remove(self) -> Result<()> {
        match self.place {
            Place::Memory => {}
            Place::Fs => std::fs::remove_dir_all(&self.address)?,
            Place::S3 => {
                let names: Vec<_> =
                    self.objects.list(None).map_ok(|it| it.location).try_collect().await?;
                let names = futures_util::stream::iter(names.into_iter().map(Ok));
                self.objects.delete_stream(Box::pin(names)).try_collect::<Vec<_>>().await?;
                S3Provider::destroy(&s3(&self.address)?).await?;
            }
        }
        Ok(())
    }
}

/// The clocks and tasks of this process.
#[must_use]
pub fn env() -> Arc<TokioEnv> {
    Arc::new(TokioEnv::new())
}

fn s3(bucket: &str) -> Result<backend_s3::Config> {
    let endpoint = std::env::var(SERVER).with_context(|| format!("{SERVER} is not set"))?;
    Ok(backend_s3::Config {
        endpoint: Some(endpoint),
        region: Some(REGION.into()),
        names: Names::Plain,
        credentials: Credentials::Keys {
            access_key_id: ACCESS_KEY.into(),
            secret_access_key: Secret::new(SECRET_KEY),
            session_token: None,
        },
        http: Http { allow_http: true, ..Http::default() },
        ..backend_s3::Config::new(bucket)
    })
}
