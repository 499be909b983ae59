//! The bounds of a gateway, each with a name and a default.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::EncryptionKey;

/// How the protocol is served. Nothing of it is stored.
///
/// # Examples
///
/// ```
/// use gateway_s3::Options;
///
/// let mut options = Options::default();
/// options.region = "eu-central-1".to_owned();
/// options.domains = vec!["s3.example.org".to_owned()];
/// options.check()?;
/// # Ok::<(), gateway_s3::OptionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The region of the endpoint: what clients are told, and the only one (but for an empty one) in which buckets can be made.
    pub region: String,
    /// The domains below which each bucket has a host of its own, `bucket.domain`. Requests for other hosts name
    /// their bucket in the path.
    pub domains: Vec<String>,
    /// How old what a read shows may be, where other processes write the same store. Zero asks the log at every
    /// read, which all that ask at the same time share: what was written before, by anybody, is seen. What this
    /// gateway has written itself is always seen. At most an hour.
    pub staleness_max: Duration,
    /// The most bytes an object is put with in one request. At most 5 GiB, which is the default, as in S3.
    pub put_bytes_max: u64,
    /// The most bytes of a file in a form, which is held in memory. From 1 byte to 1 GiB; 16 MiB is the default.
    pub form_bytes_max: u64,
    /// The most bytes of XML in a request. From 64 KiB to 64 MiB; 4 MiB is the default.
    pub xml_bytes_max: usize,
    /// How far the clock of a client may be off. From a second to a day; 15 minutes is the default, as in S3.
    pub clock_skew_max: Duration,
    /// How long a presigned URL may be good for. At most 7 days, which is the default, as in S3.
    pub presigned_lifetime_max: Duration,
    /// The least size of a part that is not the last. At most 5 GiB; 5 MiB is the default, as in S3.
    pub part_bytes_min: u64,
    /// The most buckets that one user has. At most a million; 1000 is the default.
    pub buckets_max: usize,
    /// The most operations of a batch. From 1 to 10,000; 1000 is the default.
    pub batch_operations_max: usize,
    /// The most bytes of a batch as it is sent, which is held in memory. From 64 KiB to 32 MiB; 8 MiB is the default.
    pub batch_bytes_max: usize,
    /// How long a batch with a token is known, so that the same one again is not done again. From a minute to 30 days;
    /// a day is the default.
    pub batch_token_time: Duration,
    /// How long a client may wait for changes with one request. From 1 to 60 seconds; 20 is the default.
    pub changes_wait_max: Duration,
    /// The most clients that wait for changes at a time. From 0 to 65,536; 128 is the default.
    pub changes_waiting_max: usize,
    /// The key that objects are encrypted with where clients ask for it (`AES256`, or `aws:kms` with any name of a
    /// key, which are made from this one). Without it they are refused, and what was encrypted cannot be read. All
    /// gateways of a store need the same.
    pub encryption_key: Option<EncryptionKey>,
    /// Whether forms may be signed with version 2 (HMAC-SHA1 of the policy), as older tools do. The policy of a form
    /// says until when and for what it is good. True is the default.
    pub sign_forms_v2: bool,
    /// Where signatures of version 2 (HMAC-SHA1) are taken besides. Addresses are the default.
    pub signature_v2: SignatureV2,
}

/// Where signatures of version 2 are taken. They say nothing of a body, and are never taken for what they do not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureV2 {
    /// Nowhere.
    Off,
    /// In presigned URLs, which boto3 makes so in `us-east-1` unless it is told otherwise.
    #[default]
    Urls,
    /// In the headers of requests too, for programs that know no other.
    On,
}

/// An option that is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError(String);

impl std::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

const HOUR: u64 = 60 * 60;

impl Options {
    /// Checks all bounds.
    ///
    /// # Errors
    ///
    /// The option that is out of them, with its bounds.
    pub fn check(&self) -> Result<(), OptionsError> {
        let within = |name: &str, value: u64, range: RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (least, most) = range.into_inner();
            Err(OptionsError(format!("{name} is {value}, which is not from {least} to {most}")))
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(plain) {
            return Err(OptionsError(format!(
                "region is {:?}, which is not made of letters, digits and -",
                self.region
            )));
        }
        for domain in &self.domains {
            let label = |label: &str| !label.is_empty() && label.bytes().all(plain);
            if !domain.split('.').all(label) {
                return Err(OptionsError(format!(
                    "domains has {domain:?}, which is no domain in small letters"
                )));
            }
        }
        within("staleness_max", self.staleness_max.as_secs(), 0..=HOUR)?;
        within("put_bytes_max", self.put_bytes_max, 1..=5 << 30)?;
        within("form_bytes_max", self.form_bytes_max, 1..=1 << 30)?;
        within("xml_bytes_max", self.xml_bytes_max as u64, 64 << 10..=64 << 20)?;
        within("clock_skew_max", self.clock_skew_max.as_secs(), 1..=24 * HOUR)?;
        within("presigned_lifetime_max", self.presigned_lifetime_max.as_secs(), 1..=7 * 24 * HOUR)?;
        within("part_bytes_min", self.part_bytes_min, 0..=5 << 30)?;
        within("buckets_max", self.buckets_max as u64, 1..=1_000_000)?;
        within("batch_operations_max", self.batch_operations_max as u64, 1..=10_000)?;
        within("changes_wait_max", self.changes_wait_max.as_secs(), 1..=60)?;
        within("changes_waiting_max", self.changes_waiting_max as u64, 0..=65_536)?;
        within("batch_bytes_max", self.batch_bytes_max as u64, 64 << 10..=32 << 20)?;
        within("batch_token_time", self.batch_token_time.as_secs(), 60..=30 * 24 * HOUR)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            domains: Vec::new(),
            staleness_max: Duration::ZERO,
            put_bytes_max: 5 << 30,
            form_bytes_max: 16 << 20,
            xml_bytes_max: 4 << 20,
            clock_skew_max: Duration::from_secs(15 * 60),
            presigned_lifetime_max: Duration::from_secs(7 * 24 * HOUR),
            part_bytes_min: 5 << 20,
            buckets_max: 1000,
            changes_wait_max: Duration::from_secs(20),
            changes_waiting_max: 128,
            batch_operations_max: 1000,
            batch_bytes_max: 8 << 20,
            batch_token_time: Duration::from_secs(24 * HOUR),
            encryption_key: None,
            sign_forms_v2: true,
            signature_v2: SignatureV2::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_what_is_not_is_named() {
        assert_eq!(Options::default().check(), Ok(()));
        type Change = fn(&mut Options);
        let cases: [(Change, &str); 7] = [
            (|o| o.batch_operations_max = 0, "batch_operations_max"),
            (|o| o.region = "EU".to_owned(), "region"),
            (|o| o.domains = vec!["a..b".to_owned()], "domains"),
            (|o| o.put_bytes_max = (5 << 30) + 1, "put_bytes_max"),
            (|o| o.xml_bytes_max = 1, "xml_bytes_max"),
            (|o| o.presigned_lifetime_max = Duration::ZERO, "presigned_lifetime_max"),
            (|o| o.buckets_max = 0, "buckets_max"),
        ];
        for (change, name) in cases {
            let mut options = Options::default();
            change(&mut options);
            let message = options.check().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
