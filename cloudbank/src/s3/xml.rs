//! The documents of the protocol that mean the same wherever they are.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;

/// What an answer says that is no success.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ErrorDocument {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    pub(crate) region: Option<String>,
}

/// # Errors
///
/// For a document that is none, or another.
pub(crate) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    quick_xml::de::from_reader(&body[..])
        .map_err(|error| Failure::wrong_answer(format!("the answer makes no sense: {error}")))
}

/// The error that a document is, if it is one.
pub(crate) fn error(body: &Bytes) -> Option<ErrorDocument> {
    let start = &body[..body.len().min(1024)];
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>")?.1.trim_start(),
        None => text,
    };
    let is_error = text.strip_prefix("<Error").is_some_and(|rest| rest.starts_with(['>', ' ']));
    if !is_error {
        return None;
    }
    quick_xml::de::from_reader(&body[..]).ok()
}

/// Text as it is put into a document.
pub(crate) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_whatever_comes_before_it() {
        let check = |text: &'static str, expected: Option<&str>| {
            let found = error(&Bytes::from_static(text.as_bytes()));
            assert_eq!(found.map(|error| error.code).as_deref(), expected, "{text}");
        };
        check("<Error><Code>A</Code></Error>", Some("A"));
        check(
            "\n\n <?xml version=\"1.0\"?>\n<Error><Code>A</Code><Resource>/b</Resource></Error>",
            Some("A"),
        );
        check("<Error xmlns=\"x\"><Code>A</Code><Message>m</Message></Error>", Some("A"));
        check("<ErrorList><Code>A</Code></ErrorList>", None);
        check("<DeleteResult><Error><Code>A</Code></Error></DeleteResult>", None);
        check("<html>", None);
        check("", None);
    }
}
