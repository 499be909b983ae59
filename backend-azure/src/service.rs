//! Azure as the common provider sees it.

use std::fmt;

use backend_object_store::{
    Answer, Call, ConditionalPut, PageRequest, Place, RawPage, Service, Wire,
};
use bytes::Bytes;
use http::HeaderValue;
use object_store::ObjectStore;
use object_store::azure::{
    AzureAuthorizer, AzureCredentialProvider, MicrosoftAzure, MicrosoftAzureBuilder,
};
use object_store::client::HttpRequest;
use storage_core::{Error, Result, Versions, async_trait};

use crate::{Config, credentials, error, listing};

/// A container, ready to be asked.
pub(crate) struct Azure {
    place: Place,
    store: MicrosoftAzure,
    wire: Wire,
    account: String,
    credentials: Option<AzureCredentialProvider>,
}

impl Azure {
    /// For these settings. Sends nothing.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        config.check()?;
        let credentials = credentials::provider(config)?;
        let service_url = config.service_url()?;
        let http = config.http();
        let options = http.client_options()?;
        let unusable = |error: object_store::Error| {
            backend_object_store::misconfigured("the HTTP settings cannot be used")
                .with_source(error)
        };
        let wire = Wire::new(&options, http.request_timeout).map_err(unusable)?;
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&config.account)
            .with_container_name(&config.container)
            // With an emulator's account in it: the library's own way of addressing one asks the
            // environment where it is.
            .with_endpoint(service_url.clone())
            .with_client_options(options)
            .with_retry(credentials::no_retry())
            .with_http_connector(wire.clone());
        let builder = match &credentials {
            Some(credentials) => builder.with_credentials(credentials.clone()),
            None => builder.with_skip_signature(true),
        };
        let store = builder.build().map_err(unusable)?;
        let (account, container) = (&config.account, &config.container);
        let name = match config.prefix.as_str() {
            "" => format!("azure://{account}/{container}"),
            prefix => format!("azure://{account}/{container}/{prefix}"),
        };
        let place = Place {
            name,
            url: format!("{service_url}/{container}"),
            prefix: config.prefix.clone(),
            names: config.names,
            object_bytes_max: config.object_bytes_max,
            page_keys_max: 5000,
            versions: Versions::PerWrite,
            conditional_put: config.conditional_put == ConditionalPut::Etag,
            address: "`account` and `endpoint`",
            credentials: config.credentials.settings().to_owned(),
        };
        Ok(Self { place, store, wire, account: account.clone(), credentials })
    }
}

impl fmt::Debug for Azure {
    /// Without what signs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("place", &self.place).finish()
    }
}

#[async_trait]
impl Service for Azure {
    fn place(&self) -> &Place {
        &self.place
    }

    fn store(&self) -> &dyn ObjectStore {
        &self.store
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let Some(credentials) = &self.credentials else {
            let version = HeaderValue::from_static(listing::VERSION);
            request.headers_mut().entry("x-ms-version").or_insert(version);
            return Ok(());
        };
        let credential = credentials.get_credential().await?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(request)
    }

    fn explain(&self, call: Call<'_>, answer: &Answer) -> Option<Error> {
        error::explain(&self.place, call, answer)
    }

    fn list_query(&self, page: &PageRequest<'_>) -> Vec<(&'static str, String)> {
        listing::query(page)
    }

    fn read_page(&self, body: &[u8]) -> Result<RawPage, String> {
        listing::read(body)
    }

    fn create_request(&self) -> (&'static str, Bytes) {
        ("?restype=container", Bytes::new())
    }

    fn destroy_query(&self) -> &'static str {
        "?restype=container"
    }

    fn headers(&self, call: Call<'_>) -> &'static [(&'static str, &'static str)] {
        match call {
            Call::List => &[("x-ms-version", listing::VERSION)],
            // A blob with snapshots is refused otherwise.
            Call::Delete => &[("x-ms-delete-snapshots", "include")],
            Call::Put(_) | Call::Get | Call::Create | Call::Destroy => &[],
        }
    }
}
