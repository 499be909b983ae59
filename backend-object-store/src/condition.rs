//! Versions as conditions of HTTP requests, and whose the object is that made a condition fail.

use object_store::Attribute;
use storage_core::Version;

/// The name of the metadata that a conditional put leaves, so that it knows its own object again.
/// Letters only: Azure allows no dash, and some proxies drop names with an underscore.
const MARK: &str = "cloudbankput";

/// Whether this can be sent as a condition and means exactly this version.
///
/// A header may hold `*`, which matches anything, or several tags, of which any may match; a version
/// that was not given by a service may be either, or no legal header at all. So only one quoted entity
/// tag (RFC 9110 §8.8.3) passes. What does not pass is no version of any object.
pub fn is_entity_tag(version: &Version) -> bool {
    let text = version.as_str();
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let Some(inside) = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    inside.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// A mark that no other put has.
#[derive(Debug, Clone)]
pub(crate) struct Mark(String);

impl Mark {
    /// A new one.
    pub(crate) fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// What to store with the object.
    pub(crate) fn attribute(&self) -> (Attribute, String) {
        (attribute(), self.0.clone())
    }

    /// Whether an object with these attributes was stored by the put with this mark.
    pub(crate) fn is_on(&self, attributes: &object_store::Attributes) -> bool {
        attributes.get(&attribute()).is_some_and(|found| found.as_ref() == self.0)
    }
}

fn attribute() -> Attribute {
    Attribute::Metadata(MARK.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_quoted_tag_is_sent_as_a_condition() {
        for (text, expected) in [
            ("\"9b74c989\"", true),
            ("\"0x8DD\"", true),
            ("W/\"weak\"", true),
            ("\"\"", true),
            ("*", false),
            ("", false),
            ("\"", false),
            ("bare", false),
            ("\"a\", \"b\"", false),
            ("\"a\",\"b\"", false),
            ("\"two words\"", false),
            ("\"line\r\nX-Injected: 1\"", false),
            ("\"é\"", false),
            ("\"\0\"", false),
        ] {
            assert_eq!(is_entity_tag(&Version::new(text)), expected, "{text:?}");
        }
    }
}
