//! The settings of the Azure backend, and the checks on them.

use std::path::PathBuf;
use std::time::Duration;

use backend_object_store::{
    ConditionalPut, Http, Names, Probe, check_endpoint, check_header_text, misconfigured,
};
use object_store::azure::AzureAccessKey;
use storage_core::{Prefix, Result, Secret};

/// The largest object that Azure takes in one put, in bytes: 5,000 MiB, for the version of its interface
/// that the library speaks. <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob>
pub const OBJECT_BYTES_MAX: u64 = 5000 << 20;

/// The account of the emulator.
pub const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is the same everywhere and no secret:
/// <https://learn.microsoft.com/en-us/azure/storage/common/storage-use-azurite>.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// It closes a connection after five idle seconds.
const EMULATOR_IDLE_TIMEOUT: Duration = Duration::from_secs(3);
const EMULATOR_ENDPOINT: &str = "http://127.0.0.1:10000";

/// Settings of an [`AzureProvider`](crate::AzureProvider). `Debug` shows no secret.
///
/// # Examples
///
/// ```
/// use backend_azure::{Config, Credentials};
/// use storage_core::Secret;
///
/// let config = Config {
///     credentials: Credentials::SasToken(Secret::new("sv=2024-11-04&sig=hunter2")),
///     ..Config::new("myaccount", "my-container")
/// };
/// config.check()?;
/// assert!(!format!("{config:?}").contains("hunter2"));
/// # Ok::<(), storage_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Setting `account`.
    pub account: String,
    /// Setting `container`.
    pub container: String,
    /// Setting `prefix`: comes before every key, as it is; several providers can share a container.
    pub prefix: Prefix,
    /// Setting `names`: how keys are spelled as names of objects.
    pub names: Names,
    /// Setting `endpoint`: scheme, host and port of the service, where it is not
    /// `https://ACCOUNT.blob.core.windows.net`.
    pub endpoint: Option<String>,
    /// Setting `emulator`: addresses have the account in their path, and plain HTTP is allowed.
    pub emulator: bool,
    /// Settings `account_key`, `sas_token`, `tenant_id`, `client_id`, `client_secret`, `credentials`.
    pub credentials: Credentials,
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
    /// A container at Azure, with credentials from the usual chain, and a full probe.
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            container: container.into(),
            prefix: Prefix::all(),
            names: Names::default(),
            endpoint: None,
            emulator: false,
            credentials: Credentials::Chain,
            conditional_put: ConditionalPut::default(),
            probe: Probe::default(),
            object_bytes_max: OBJECT_BYTES_MAX,
            http: Http::default(),
        }
    }

    /// A container in an emulator on this machine, with its well-known account and key.
    pub fn emulator(container: impl Into<String>) -> Self {
        Self {
            emulator: true,
            credentials: Credentials::AccountKey(Secret::new(EMULATOR_KEY)),
            ..Self::new(EMULATOR_ACCOUNT, container)
        }
    }

    /// Checks every setting. [`AzureProvider::open`](crate::AzureProvider::open) does this, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](storage_core::ErrorKind::Misconfigured) naming the setting.
    pub fn check(&self) -> Result<()> {
        check_account(&self.account)?;
        check_container(&self.container)?;
        self.service_url()?;
        if self.object_bytes_max > OBJECT_BYTES_MAX {
            return Err(misconfigured(format!(
                "`object_bytes_max` is {}, but Azure takes at most {OBJECT_BYTES_MAX} bytes in one put",
                self.object_bytes_max
            )));
        }
        self.names.check(&self.prefix)?;
        self.credentials.check()?;
        self.http().client_options().map(drop)
    }

    /// How to speak HTTP: plain, too, to an emulator.
    pub(crate) fn http(&self) -> Http {
        let mut http = self.http.clone();
        if self.emulator {
            http.allow_http = true;
            http.idle_timeout = http.idle_timeout.min(EMULATOR_IDLE_TIMEOUT);
        }
        http
    }

    /// Scheme, host and path of the account, without a slash at the end.
    pub(crate) fn service_url(&self) -> Result<String> {
        let account = &self.account;
        match (&self.endpoint, self.emulator) {
            (None, false) => Ok(format!("https://{account}.blob.core.windows.net")),
            (Some(endpoint), false) => check_endpoint(endpoint, &self.http()),
            (endpoint, true) => {
                let endpoint = endpoint.as_deref().unwrap_or(EMULATOR_ENDPOINT);
                let url = check_endpoint(endpoint, &self.http())?;
                let has_account = url.ends_with(&format!("/{account}"));
                Ok(if has_account { url } else { format!("{url}/{account}") })
            }
        }
    }
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Setting `account_key`: base64, as the portal shows it.
    AccountKey(Secret),
    /// Setting `sas_token`: a shared access signature with rights to read, write, delete and list.
    SasToken(Secret),
    /// Entra id with a secret.
    ClientSecret {
        /// Setting `tenant_id`.
        tenant_id: String,
        /// Setting `client_id`.
        client_id: String,
        /// Setting `client_secret`.
        client_secret: Secret,
    },
    /// `credentials = "workload_identity"`: Entra id with a token in a file, as in Kubernetes. What is
    /// not given comes from `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_FEDERATED_TOKEN_FILE`.
    WorkloadIdentity {
        /// Setting `tenant_id`.
        tenant_id: Option<String>,
        /// Setting `client_id`.
        client_id: Option<String>,
        /// Setting `token_file`.
        token_file: Option<PathBuf>,
    },
    /// `credentials = "managed_identity"`: the identity of the machine this runs on.
    ManagedIdentity {
        /// Setting `client_id`: which, where there are several.
        client_id: Option<String>,
    },
    /// `credentials = "azure_cli"`: whoever is logged in with `az`.
    AzureCli,
    /// `credentials = "chain"`: the environment (`AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_KEY`,
    /// `AZURE_CLIENT_ID` and so on), then the identity of the machine.
    Chain,
    /// `credentials = "anonymous"`: none; requests are not signed.
    Anonymous,
}

impl Credentials {
    fn check(&self) -> Result<()> {
        let given = |setting: &str, text: &Option<String>| {
            text.as_ref().map_or(Ok(()), |text| check_header_text(setting, text))
        };
        match self {
            Self::AccountKey(key) => {
                check_header_text("account_key", key.reveal())?;
                // Without the library's words, which repeat a character of the key.
                AzureAccessKey::try_new(key.reveal())
                    .map(drop)
                    .map_err(|_| misconfigured("`account_key` is not base64; copy all of it"))
            }
            Self::SasToken(token) => {
                check_header_text("sas_token", token.reveal())?;
                if token.reveal().contains("sig=") {
                    Ok(())
                } else {
                    Err(misconfigured("`sas_token` has no `sig=`; copy all of it, from `sv=` on"))
                }
            }
            Self::ClientSecret { tenant_id, client_id, client_secret } => {
                check_header_text("tenant_id", tenant_id)?;
                check_header_text("client_id", client_id)?;
                check_header_text("client_secret", client_secret.reveal())
            }
            Self::WorkloadIdentity { tenant_id, client_id, token_file } => {
                given("tenant_id", tenant_id)?;
                given("client_id", client_id)?;
                match token_file {
                    Some(file) if file.to_str().is_none_or(str::is_empty) => {
                        Err(misconfigured("`token_file` is empty or not text"))
                    }
                    _ => Ok(()),
                }
            }
            Self::ManagedIdentity { client_id } => given("client_id", client_id),
            Self::AzureCli | Self::Chain | Self::Anonymous => Ok(()),
        }
    }

    /// The settings they come from, in words.
    pub(crate) fn settings(&self) -> &'static str {
        match self {
            Self::AccountKey(_) => "`account_key` and `account`",
            Self::SasToken(_) => "`sas_token`: its rights, and when it expires",
            Self::ClientSecret { .. } => {
                "`tenant_id`, `client_id` and `client_secret`, and the role (Storage Blob Data Contributor)"
            }
            Self::WorkloadIdentity { .. } => {
                "`credentials` (\"workload_identity\"), `tenant_id`, `client_id` and `token_file`, and the role"
            }
            Self::ManagedIdentity { .. } => {
                "`credentials` (\"managed_identity\") and `client_id`, and the role"
            }
            Self::AzureCli => "`credentials` (\"azure_cli\": run `az login`), and the role",
            Self::Chain => {
                "`credentials` (\"chain\": environment, then the machine's identity); or give `account_key`"
            }
            Self::Anonymous => "`credentials` (\"anonymous\": nothing is signed)",
        }
    }
}

fn check_account(account: &str) -> Result<()> {
    let problem = if account.is_empty() {
        "is empty"
    } else if !(3..=24).contains(&account.len()) {
        "does not have 3 to 24 characters"
    } else if !account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        "has a character other than a-z and 0-9"
    } else {
        return Ok(());
    };
    Err(misconfigured(format!("`account` {problem}: \"{account}\"")))
}

/// <https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>
fn check_container(container: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let problem = if container.is_empty() {
        "is empty"
    } else if container.contains('/') {
        "has a slash; what comes after it is the setting `prefix`"
    } else if !(3..=63).contains(&container.len()) {
        "does not have 3 to 63 characters"
    } else if !container.bytes().all(legal) {
        "has a character other than a-z, 0-9 and `-`"
    } else if container.starts_with('-') || container.ends_with('-') || container.contains("--") {
        "begins or ends with `-`, or has two in a row"
    } else {
        return Ok(());
    };
    Err(misconfigured(format!("`container` {problem}: \"{container}\"")))
}
