//! Conditions of statements: an operator, a key of the request, and values.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::read::malformed;
use crate::access::matches;
use crate::error::Result;

/// What a request has under a key, which is in small letters. Nothing, where it does not say.
pub(crate) type Values<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    test: Test,
    /// It is the other way round.
    not: bool,
    /// It holds where the key is not there.
    if_exists: bool,
    quantifier: Quantifier,
    /// In small letters.
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    Equals,
    EqualsIgnoreCase,
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Ip,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Equals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantifier {
    One,
    Any,
    All,
}

/// The keys that requests have here, in small letters. Those that end with a slash are followed by the name of a tag.
const KEYS: [&str; 40] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalarn",
    "aws:principaltype",
    "aws:referer",
    "aws:securetransport",
    // Only programs of AWS have these: nobody here.
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "s3:authtype",
    "s3:delimiter",
    "s3:existingobjecttag/",
    "s3:if-match",
    "s3:if-none-match",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-retain-until-date",
    "s3:prefix",
    "s3:requestobjecttag/",
    "s3:requestobjecttagkeys",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
];
/// Those that say who asks, or from where.
const KEYS_OF_SOME: [&str; 7] = [
    "aws:principalarn",
    "aws:principaltype",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:userid",
    "aws:username",
];

impl Condition {
    /// # Errors
    ///
    /// [`MalformedPolicy`](crate::error::Code::MalformedPolicy), for an operator, a key or a value that would not count.
    pub(super) fn read(operator: &str, key: &str, values: &[String]) -> Result<Self> {
        let (quantifier, name) = match operator.split_once(':') {
            None => (Quantifier::One, operator),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(_) => return Err(malformed(format!("Condition {operator:?} is not known"))),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (test, not) = Test::named(name)
            .ok_or_else(|| malformed(format!("Condition {operator:?} is not known")))?;
        let lower = key.to_ascii_lowercase();
        let known =
            |known: &str| lower == known || (known.ends_with('/') && lower.starts_with(known));
        if !KEYS.iter().any(|one| known(one)) {
            return Err(malformed(format!("the key {key:?} of a Condition is not known")));
        }
        if let Some(value) = values.iter().find(|value| !test.understands(value)) {
            return Err(malformed(format!("{value:?} is no value for {operator}")));
        }
        Ok(Self { test, not, if_exists, quantifier, key: lower, values: values.to_vec() })
    }

    pub(super) fn holds(&self, request: &Values<'_>) -> bool {
        let there = request(&self.key);
        if self.test == Test::Null {
            let absent = there.is_empty().to_string();
            return self.values.iter().any(|value| value.eq_ignore_ascii_case(&absent));
        }
        let one = |value: &String| {
            let found = self.values.iter().any(|wanted| self.test.holds(value, wanted));
            found != self.not
        };
        match self.quantifier {
            Quantifier::All => there.iter().all(one),
            // What is not there is not equal to anything.
            _ if there.is_empty() => self.if_exists || self.not,
            _ => there.iter().any(one),
        }
    }

    /// Whether it lets only some in, whatever they say of themselves.
    pub(super) fn is_of_some_only(&self) -> bool {
        let all = |value: &String| {
            value.ends_with("/0") || (self.test == Test::Like && value.trim_matches('*').is_empty())
        };
        KEYS_OF_SOME.contains(&&self.key[..])
            && !self.not
            && !self.if_exists
            && self.quantifier != Quantifier::All
            && !self.values.iter().any(all)
    }
}

impl Test {
    /// The test of this name, and whether it is to fail.
    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "StringEquals" => (Self::Equals, false),
            "StringNotEquals" => (Self::Equals, true),
            "StringEqualsIgnoreCase" => (Self::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Self::EqualsIgnoreCase, true),
            "StringLike" | "ArnLike" | "ArnEquals" => (Self::Like, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Self::Like, true),
            "NumericEquals" => (Self::Number(Order::Equals), false),
            "NumericNotEquals" => (Self::Number(Order::Equals), true),
            "NumericLessThan" => (Self::Number(Order::Less), false),
            "NumericLessThanEquals" => (Self::Number(Order::LessEquals), false),
            "NumericGreaterThan" => (Self::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Self::Number(Order::GreaterEquals), false),
            "DateEquals" => (Self::Date(Order::Equals), false),
            "DateNotEquals" => (Self::Date(Order::Equals), true),
            "DateLessThan" => (Self::Date(Order::Less), false),
            "DateLessThanEquals" => (Self::Date(Order::LessEquals), false),
            "DateGreaterThan" => (Self::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Self::Date(Order::GreaterEquals), false),
            "Bool" => (Self::Bool, false),
            "IpAddress" => (Self::Ip, false),
            "NotIpAddress" => (Self::Ip, true),
            "Null" => (Self::Null, false),
            _ => return None,
        })
    }

    /// Whether a value is one that it can compare with.
    fn understands(self, value: &str) -> bool {
        match self {
            Self::Number(_) => value.parse::<f64>().is_ok(),
            Self::Date(_) => instant(value).is_some(),
            Self::Bool | Self::Null => {
                ["true", "false"].iter().any(|one| value.eq_ignore_ascii_case(one))
            }
            Self::Ip => network(value).is_some(),
            Self::Equals | Self::EqualsIgnoreCase | Self::Like => true,
        }
    }

    fn holds(self, value: &str, wanted: &str) -> bool {
        match self {
            Self::Equals => value == wanted,
            Self::EqualsIgnoreCase | Self::Bool => value.eq_ignore_ascii_case(wanted),
            Self::Like => matches(wanted.as_bytes(), value.as_bytes()),
            Self::Number(order) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Date(order) => match (instant(value), instant(wanted)) {
                (Some(value), Some(wanted)) => order.holds(value, wanted),
                _ => false,
            },
            Self::Ip => match (value.parse::<IpAddr>(), network(wanted)) {
                (Ok(address), Some(network)) => network.has(address),
                _ => false,
            },
            Self::Null => false,
        }
    }
}

impl Order {
    fn holds(self, value: f64, wanted: f64) -> bool {
        match self {
            Self::Equals => value == wanted,
            Self::Less => value < wanted,
            Self::LessEquals => value <= wanted,
            Self::Greater => value > wanted,
            Self::GreaterEquals => value >= wanted,
        }
    }
}

/// Seconds since the Unix epoch, as such or as a date.
fn instant(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds);
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = OffsetDateTime::parse(&full, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos() as f64 / 1e9)
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
    Some(Network { address, bits })
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        let address = address.to_canonical();
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        address.is_ipv4() == self.address.is_ipv4()
            && number(address) & mask == number(self.address) & mask
    }
}
