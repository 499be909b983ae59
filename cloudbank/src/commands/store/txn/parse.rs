//! Reading the lines of a transaction, and saying what is wrong with them.

use bytes::Bytes;
use serde_json::{Map, Value};
use storage_txn::{KeyRange, Merge, Version};

use super::{Content, Operation, State};
use crate::commands::store::text;
use crate::config::closest;
use crate::error::{Error, Result};

const OPERATIONS: [&str; 9] =
    ["require", "put", "delete", "delete_prefix", "delete_range", "add", "max", "append", "get"];

/// The operations of a text, each with its line, counted from one.
///
/// # Errors
///
/// [`Error::Usage`], naming the line.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<(usize, Operation)>> {
    let mut operations: Vec<(usize, Operation)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| Error::Usage(format!("{name}, line {}: {why}", at + 1));
        let operation = operation(line).map_err(wrong)?;
        let late = operations.iter().find(|(_, before)| before.writes());
        if let (Operation::Require { .. }, Some((before, _))) = (&operation, late) {
            return Err(wrong(format!(
                "a requirement comes after the write of line {before}\n  = requirements come first: they are about what was there before"
            )));
        }
        operations.push((at + 1, operation));
    }
    if operations.is_empty() {
        return Err(Error::Usage(format!("{name} has no operation in it")));
    }
    Ok(operations)
}

impl Operation {
    fn writes(&self) -> bool {
        !matches!(self, Self::Require { .. } | Self::Get { .. })
    }
}

fn operation(line: &str) -> Result<Operation, String> {
    let object = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("this is JSON, but not an object\n  = expected {\"op\":...}".into()),
        Err(error) => {
            let column = error.column();
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            return Err(format!("this is not JSON, from column {column} on: {why}"));
        }
    };
    let mut fields = Fields(object);
    let Some(op) = fields.text("op")? else {
        return Err(format!("it has no \"op\"\n  = expected one of {}", OPERATIONS.join(", ")));
    };
    let operation = match &op[..] {
        "require" => Operation::Require { key: fields.key("key")?, state: state(&mut fields)? },
        "put" => Operation::Put { key: fields.key("key")?, value: fields.content_of(&op)? },
        "delete" => Operation::Delete { key: fields.key("key")? },
        "delete_prefix" => {
            Operation::DeleteRange { range: KeyRange::prefix(fields.key("prefix")?) }
        }
        "delete_range" => {
            let (start, end) = (fields.key("start")?, fields.key("end")?);
            if start >= end {
                let (start, end) = (text::shown(&start), text::shown(&end));
                return Err(format!("no key is from \"{start}\" to before \"{end}\""));
            }
            Operation::DeleteRange { range: KeyRange::from(start..end) }
        }
        "add" => {
            Operation::Merge { key: fields.key("key")?, merge: Merge::Add(fields.number(&op)?) }
        }
        "max" => {
            Operation::Merge { key: fields.key("key")?, merge: Merge::Max(fields.number(&op)?) }
        }
        "append" => {
            let (key, bytes) = (fields.key("key")?, fields.bytes("value")?);
            let bytes = bytes.ok_or_else(|| missing(&op, &["value", "value_base64"]))?;
            Operation::Merge { key, merge: Merge::Append(bytes) }
        }
        "get" => Operation::Get { key: fields.key("key")? },
        other => {
            let mut message = format!("there is no operation {other:?}");
            message += &format!("\n  = expected one of {}", OPERATIONS.join(", "));
            if let Some(near) = closest(other, OPERATIONS) {
                message += &format!("\n  = did you mean {near:?}?");
            }
            return Err(message);
        }
    };
    fields.finish(&op)?;
    Ok(operation)
}

fn state(fields: &mut Fields) -> Result<State, String> {
    let mut states = Vec::new();
    if let Some(version) = fields.0.remove("version") {
        let version =
            version.as_u64().ok_or_else(|| not("version", "a number, 1 or more", &version))?;
        states.push(State::Version(Version(version)));
    }
    for (name, state) in [("absent", State::Absent), ("present", State::Present)] {
        match fields.0.remove(name) {
            None => {}
            Some(Value::Bool(true)) => states.push(state),
            Some(other) => return Err(not(name, "true, or not to be there", &other)),
        }
    }
    states.extend(fields.content()?.map(State::Value));
    let mut states = states.into_iter();
    match (states.next(), states.next()) {
        (Some(state), None) => Ok(state),
        (None, _) => Err(missing(
            "require",
            &["version", "absent", "present", "value", "value_base64", "value_file"],
        )),
        (Some(_), Some(_)) => {
            Err("it requires two things of one key\n  = write a line for each".into())
        }
    }
}

/// The fields of an object that nobody has asked for yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(not(name, "a text in quotes", &other)),
        }
    }

    /// Bytes under `name`, or in base64 under `name_base64`.
    fn bytes(&mut self, name: &str) -> Result<Option<Bytes>, String> {
        let coded = format!("{name}_base64");
        match (self.text(name)?, self.text(&coded)?) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(text.into())),
            (None, Some(text)) => text::from_base64(&text)
                .map(Some)
                .ok_or_else(|| format!("\"{coded}\" is not base64 (RFC 4648, with padding)")),
            (Some(_), Some(_)) => Err(format!("it has both \"{name}\" and \"{coded}\"")),
        }
    }

    fn key(&mut self, name: &str) -> Result<Bytes, String> {
        let key = self.bytes(name)?;
        let key = key.ok_or_else(|| format!("it has neither \"{name}\" nor \"{name}_base64\""))?;
        text::checked(key).map_err(|error| error.to_string().replacen("error: ", "", 1))
    }

    fn content(&mut self) -> Result<Option<Content>, String> {
        match (self.bytes("value")?, self.text("value_file")?) {
            (None, None) => Ok(None),
            (Some(bytes), None) => Ok(Some(Content::Inline(bytes))),
            (None, Some(path)) => Ok(Some(Content::File(path))),
            (Some(_), Some(_)) => Err("it has both a value and \"value_file\"".into()),
        }
    }

    fn content_of(&mut self, op: &str) -> Result<Content, String> {
        self.content()?.ok_or_else(|| missing(op, &["value", "value_base64", "value_file"]))
    }

    fn number(&mut self, op: &str) -> Result<i64, String> {
        let number = self.0.remove("number").ok_or_else(|| missing(op, &["number"]))?;
        number.as_i64().ok_or_else(|| not("number", "a whole number of 64 bits", &number))
    }

    /// Refuses what is left over, lest a requirement with a typo be taken for none.
    fn finish(self, op: &str) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("{op:?} has no field {name:?}")),
        }
    }
}

fn missing(op: &str, names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match &names[..] {
        [one] => format!("{op:?} needs {one}"),
        many => format!("{op:?} needs one of {}", many.join(", ")),
    }
}

fn not(name: &str, expected: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".to_owned(),
    };
    format!("\"{name}\" is {found}\n  = expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_read() {
        let check = |line: &str, expected: Operation| {
            let found = format!("{:?}", parse("f", line).unwrap());
            assert_eq!(found, format!("{:?}", [(1, expected)]), "{line}");
        };
        let (a, one) = (Bytes::from("a"), Content::Inline("1".into()));
        let require = |state| Operation::Require { key: "a".into(), state };
        check(r#"{"op":"require","key":"a","version":3}"#, require(State::Version(Version(3))));
        check(r#"{"op":"require","key":"a","absent":true}"#, require(State::Absent));
        check(r#"{"op":"require","key":"a","present":true}"#, require(State::Present));
        check(r#"{"op":"require","key":"a","value":"1"}"#, require(State::Value(one.clone())));
        check(
            r#"{"op":"put","key":"a","value":"1"}"#,
            Operation::Put { key: a.clone(), value: one },
        );
        check(
            r#"{"op":"put","key_base64":"/w==","value_file":"f"}"#,
            Operation::Put { key: b"\xff"[..].into(), value: Content::File("f".into()) },
        );
        check(r#"{"op":"delete","key":"a"}"#, Operation::Delete { key: a.clone() });
        check(
            r#"{"op":"delete_prefix","prefix":"a"}"#,
            Operation::DeleteRange { range: KeyRange::prefix("a") },
        );
        check(
            r#"{"op":"delete_range","start":"a","end":"b"}"#,
            Operation::DeleteRange { range: KeyRange::from("a".."b") },
        );
        let merge = |merge| Operation::Merge { key: "a".into(), merge };
        check(r#"{"op":"add","key":"a","number":-1}"#, merge(Merge::Add(-1)));
        check(r#"{"op":"max","key":"a","number":1}"#, merge(Merge::Max(1)));
        check(r#"{"op":"append","key":"a","value":"x"}"#, merge(Merge::Append("x".into())));
        check(r#"{"op":"get","key":"a"}"#, Operation::Get { key: a });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let check = |text: &str, expected: &str| {
            let said = parse("f", text).unwrap_err().to_string();
            assert!(said.contains(expected), "{text}:\n{said}");
        };
        check("", "f has no operation in it");
        check("\n\n{", "f, line 3: this is not JSON, from column 1 on: EOF");
        check("[]", "f, line 1: this is JSON, but not an object");
        check("{}", "it has no \"op\"");
        check(r#"{"op":7}"#, "\"op\" is 7");
        check(r#"{"op":"putt"}"#, "did you mean \"put\"?");
        check(r#"{"op":"put","value":"1"}"#, "neither \"key\" nor \"key_base64\"");
        check(
            r#"{"op":"put","key":"a"}"#,
            "\"put\" needs one of \"value\", \"value_base64\", \"value_file\"",
        );
        check(r#"{"op":"put","key":"a","value":1}"#, "\"value\" is 1");
        check(r#"{"op":"put","key":"a","value":"1","value_file":"f"}"#, "both a value and");
        check(r#"{"op":"put","key":"a","key_base64":"","value":"1"}"#, "both \"key\" and");
        check(r#"{"op":"put","key":"a","value_base64":"?"}"#, "\"value_base64\" is not base64");
        check(
            r#"{"op":"put","key":"a","value":"1","if_absent":true}"#,
            "\"put\" has no field \"if_absent\"",
        );
        check(r#"{"op":"require","key":"a"}"#, "\"require\" needs one of");
        check(r#"{"op":"require","key":"a","absent":false}"#, "\"absent\" is false");
        check(r#"{"op":"require","key":"a","version":-1}"#, "\"version\" is -1");
        check(r#"{"op":"require","key":"a","version":1,"absent":true}"#, "two things of one key");
        check(r#"{"op":"add","key":"a","number":1.5}"#, "\"number\" is 1.5");
        check(
            r#"{"op":"delete_range","start":"b","end":"a"}"#,
            "no key is from \"b\" to before \"a\"",
        );
        let late = "{\"op\":\"put\",\"key\":\"a\",\"value\":\"\"}\n{\"op\":\"require\",\"key\":\"a\",\"absent\":true}";
        check(late, "line 2: a requirement comes after the write of line 1");
        let long = "k".repeat(4097);
        check(&format!("{{\"op\":\"get\",\"key\":\"{long}\"}}"), "has 4097 bytes");
    }
}
