//! S3 as the common provider sees it.

use std::fmt;

use backend_object_store::{
    Answer, Call, ConditionalPut, PageRequest, Place, RawPage, Service, Wire,
};
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::aws::{
    AmazonS3, AmazonS3Builder, AwsAuthorizer, Checksum as StoreChecksum, S3ConditionalPut,
};
use object_store::client::HttpRequest;
use storage_core::{Error, Result, Versions, async_trait};

use crate::credentials::{Signer, no_retry};
use crate::{Checksum, Config, error, listing};

/// A bucket, ready to be asked.
pub(crate) struct S3 {
    place: Place,
    store: AmazonS3,
    wire: Wire,
    signer: Signer,
    /// Whether a new bucket has to be told its region.
    at_aws: bool,
}

impl S3 {
    /// For these settings. Sends nothing.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        config.check()?;
        let signer = Signer::new(config)?;
        let url = config.bucket_url(&signer.region)?;
        let options = config.http.client_options()?;
        let unusable = |error: object_store::Error| {
            backend_object_store::misconfigured("the HTTP settings cannot be used")
                .with_source(error)
        };
        let wire = Wire::new(&options, config.http.request_timeout).map_err(unusable)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&signer.region)
            // With the bucket in it, so that the library does not have to put it there.
            .with_endpoint(&url)
            .with_virtual_hosted_style_request(true)
            .with_client_options(options)
            .with_retry(no_retry())
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_unsigned_payload(!config.sign_payload)
            .with_http_connector(wire.clone());
        builder = match &signer.credentials {
            Some(credentials) => builder.with_credentials(credentials.clone()),
            None => builder.with_skip_signature(true),
        };
        builder = match config.checksum {
            Some(Checksum::Sha256) => builder.with_checksum_algorithm(StoreChecksum::SHA256),
            Some(Checksum::Crc64Nvme) => builder.with_checksum_algorithm(StoreChecksum::CRC64NVME),
            None => builder,
        };
        let store = builder.build().map_err(unusable)?;
        let name = match config.prefix.as_str() {
            "" => format!("s3://{}", config.bucket),
            prefix => format!("s3://{}/{prefix}", config.bucket),
        };
        let place = Place {
            name,
            url,
            prefix: config.prefix.clone(),
            names: config.names,
            object_bytes_max: config.object_bytes_max,
            page_keys_max: 1000,
            versions: Versions::PerContent,
            conditional_put: config.conditional_put == ConditionalPut::Etag,
            address: "`endpoint` and `region`",
            credentials: config.credentials.settings(),
        };
        Ok(Self { place, store, wire, signer, at_aws: config.endpoint.is_none() })
    }
}

impl fmt::Debug for S3 {
    /// Without what signs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("place", &self.place)
            .field("region", &self.signer.region)
            .finish()
    }
}

#[async_trait]
impl Service for S3 {
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
        let Some(credentials) = &self.signer.credentials else { return Ok(()) };
        let credential = credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.signer.region).try_authorize(request, None)
    }

    fn explain(&self, call: Call<'_>, answer: &Answer) -> Option<Error> {
        error::explain(&self.place, &self.signer.region, call, answer)
    }

    fn list_query(&self, page: &PageRequest<'_>) -> Vec<(&'static str, String)> {
        listing::query(page)
    }

    fn read_page(&self, body: &[u8]) -> Result<RawPage, String> {
        listing::read(body)
    }

    fn create_request(&self) -> (&'static str, Bytes) {
        let region = &self.signer.region;
        // us-east-1 refuses to be named; other services name their regions as they like.
        if !self.at_aws || region == "us-east-1" {
            return ("", Bytes::new());
        }
        let body = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        );
        ("", body.into())
    }

    fn destroy_query(&self) -> &'static str {
        ""
    }

    fn headers(&self, _: Call<'_>) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}
