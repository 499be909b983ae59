//! The settings of the S3 backend, and the checks on them.

use std::path::PathBuf;

use backend_object_store::{
    ConditionalPut, Http, Names, Probe, check_endpoint, check_header_text, misconfigured,
};
use storage_core::{Prefix, Result, Secret};

/// The largest object that S3 takes in one put, in bytes: 5 GiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// Settings of an [`S3Provider`](crate::S3Provider). `Debug` shows no secret.
///
/// # Examples
///
/// ```
/// use backend_s3::{Config, Credentials};
/// use storage_core::Secret;
///
/// let config = Config {
///     region: Some("eu-central-1".into()),
///     credentials: Credentials::Keys {
///         access_key_id: "AKIA...".into(),
///         secret_access_key: Secret::new("hunter2"),
///         session_token: None,
///     },
///     ..Config::new("my-bucket")
/// };
/// config.check()?;
/// assert!(!format!("{config:?}").contains("hunter2"));
/// # Ok::<(), storage_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Setting `bucket`.
    pub bucket: String,
    /// Setting `prefix`: comes before every key, as it is; several providers can share a bucket.
    pub prefix: Prefix,
    /// Setting `names`: how keys are spelled as names of objects.
    pub names: Names,
    /// Setting `region`; if it is not given, that of the profile or the environment where those are
    /// used, or `us-east-1`.
    pub region: Option<String>,
    /// Setting `endpoint`: scheme, host and port of the service; AWS itself if it is not given.
    pub endpoint: Option<String>,
    /// Setting `virtual_hosted_style`: the bucket is part of the host name instead of the path.
    pub virtual_hosted_style: bool,
    /// Settings `access_key_id`, `secret_access_key`, `session_token`, `profile`, `credentials`.
    pub credentials: Credentials,
    /// Setting `checksum`: a checksum that the service verifies before it stores an object.
    pub checksum: Option<Checksum>,
    /// Setting `sign_payload`: sign the body of a put, too. Off saves a SHA-256 over it; leave it on
    /// over plain HTTP.
    pub sign_payload: bool,
    /// Setting `conditional_put`.
    pub conditional_put: ConditionalPut,
    /// Setting `probe`.
    pub probe: Probe,
    /// Setting `object_bytes_max`: the largest object taken, in bytes, at most [`OBJECT_BYTES_MAX`].
    pub object_bytes_max: u64,
    /// How to speak HTTP.
    pub http: Http,
}

impl Config {
    /// A bucket at AWS in `us-east-1`, with credentials from the usual chain, and a full probe.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: Prefix::all(),
            names: Names::default(),
            region: None,
            endpoint: None,
            virtual_hosted_style: false,
            credentials: Credentials::Chain,
            checksum: None,
            sign_payload: true,
            conditional_put: ConditionalPut::default(),
            probe: Probe::default(),
            object_bytes_max: OBJECT_BYTES_MAX,
            http: Http::default(),
        }
    }

    /// Checks every setting. [`S3Provider::open`](crate::S3Provider::open) does this, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](storage_core::ErrorKind::Misconfigured) naming the setting.
    pub fn check(&self) -> Result<()> {
        check_bucket(&self.bucket)?;
        if let Some(region) = &self.region {
            check_header_text("region", region)?;
        }
        if let Some(endpoint) = &self.endpoint {
            check_endpoint(endpoint, &self.http)?;
        }
        if self.object_bytes_max > OBJECT_BYTES_MAX {
            return Err(misconfigured(format!(
                "`object_bytes_max` is {}, but S3 takes at most {OBJECT_BYTES_MAX} bytes in one put",
                self.object_bytes_max
            )));
        }
        self.names.check(&self.prefix)?;
        self.credentials.check()?;
        self.http.client_options().map(drop)
    }

    /// Scheme, host and path of the bucket, without a slash at the end.
    pub(crate) fn bucket_url(&self, region: &str) -> Result<String> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => check_endpoint(endpoint, &self.http)?,
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let bucket = &self.bucket;
        Ok(if self.virtual_hosted_style {
            endpoint.replacen("://", &format!("://{bucket}."), 1)
        } else {
            format!("{endpoint}/{bucket}")
        })
    }
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `access_key_id` and `secret_access_key`, with `session_token` for temporary ones.
    Keys {
        /// Setting `access_key_id`.
        access_key_id: String,
        /// Setting `secret_access_key`.
        secret_access_key: Secret,
        /// Setting `session_token`.
        session_token: Option<Secret>,
    },
    /// `profile`: keys in the files that the AWS command line uses.
    Profile {
        /// Setting `profile`: its name.
        name: String,
        /// Setting `credentials_file`; `$AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials` if not given.
        credentials_file: Option<PathBuf>,
        /// Setting `config_file`; `$AWS_CONFIG_FILE` or `~/.aws/config` if not given.
        config_file: Option<PathBuf>,
    },
    /// `credentials = "chain"`: the environment, a web identity, the profile `$AWS_PROFILE` or
    /// `default`, then what ECS, EKS or EC2 hand out; the first there is.
    Chain,
    /// `credentials = "anonymous"`: none; requests are not signed.
    Anonymous,
}

impl Credentials {
    fn check(&self) -> Result<()> {
        match self {
            Self::Keys { access_key_id, secret_access_key, session_token } => {
                check_header_text("access_key_id", access_key_id)?;
                check_header_text("secret_access_key", secret_access_key.reveal())?;
                session_token
                    .as_ref()
                    .map_or(Ok(()), |token| check_header_text("session_token", token.reveal()))
            }
            Self::Profile { name, .. } if name.is_empty() => {
                Err(misconfigured("`profile` is empty"))
            }
            Self::Profile { .. } | Self::Chain | Self::Anonymous => Ok(()),
        }
    }

    /// The settings they come from, in words.
    pub(crate) fn settings(&self) -> String {
        match self {
            Self::Keys { session_token: None, .. } => {
                "`access_key_id` and `secret_access_key`".into()
            }
            Self::Keys { session_token: Some(_), .. } => {
                "`access_key_id`, `secret_access_key` and `session_token`".into()
            }
            Self::Profile { name, .. } => format!("`profile` (\"{name}\")"),
            Self::Chain => {
                "`credentials` (\"chain\": environment, profile, then ECS, EKS or EC2); or \
                            give `access_key_id` and `secret_access_key`"
                    .into()
            }
            Self::Anonymous => "`credentials` (\"anonymous\": nothing is signed)".into(),
        }
    }
}

/// A checksum that travels with an object and that the service verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// `sha256`
    Sha256,
    /// `crc64nvme`
    Crc64Nvme,
}

/// Names of buckets go into addresses: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>,
/// and a little wider, for old buckets and other services.
fn check_bucket(bucket: &str) -> Result<()> {
    let problem = if bucket.is_empty() {
        "is empty"
    } else if bucket.contains('/') {
        "has a slash; what comes after it is the setting `prefix`"
    } else if bucket.len() < 3 || bucket.len() > 255 {
        "does not have 3 to 63 characters"
    } else if !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        "has a character other than a-z, 0-9, `.` and `-`"
    } else if !bucket.as_bytes()[0].is_ascii_alphanumeric() {
        "does not begin with a letter or digit"
    } else if bucket.ends_with("--x-s3") {
        "is a directory bucket, which does not list in order"
    } else {
        return Ok(());
    };
    Err(misconfigured(format!("`bucket` {problem}: \"{bucket}\"")))
}
