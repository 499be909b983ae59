//! Batches, as they are sent and answered: JSON (`docs/s3-extensions.md`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use s3s::{Body, S3Request, S3Response};
use serde::{Deserialize, Serialize};

use crate::door::Inner;
use crate::door::convert;
use crate::door::puts::{broken, storage_class_named};
use crate::error::{Code, Error, Result};
use crate::op::acl::{AclWish, Canned};
use crate::op::batch::{Action, Batch, BatchDone, OPERATION, Operation, Token};
use crate::op::caller::Caller;
use crate::op::conditions::{Conditions, EtagMatch};
use crate::op::copy::{Copy, Source};
use crate::op::multipart::{Complete, NamedPart, PARTS_MAX};
use crate::op::object::Which;
use crate::op::put::Description;
use crate::op::tags::{OBJECT_TAGS_MAX, check_tags};
use crate::record::{Headers, Pair};

/// The most bytes of a token.
const TOKEN_BYTES_MAX: usize = 128;

/// A batch as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    token: Option<String>,
    operations: Vec<One>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum One {
    Put(Put),
    Copy(CopyTo),
    Complete(CompleteTo),
    Delete(DeleteOf),
    Require(Required),
}

/// Fields that every operation has.
macro_rules! operation {
    ($(#[$about:meta])* struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            bucket: String,
            key: String,
            #[serde(default)]
            if_match: Option<String>,
            #[serde(default)]
            if_none_match: Option<String>,
            #[serde(default)]
            if_version_id: Option<String>,
            $(#[serde(default)] $field: $type,)*
        }

        impl $name {
            fn operation(&self, action: Action) -> Result<Operation> {
                Ok(Operation {
                    bucket: self.bucket.clone(),
                    key: self.key.clone(),
                    if_version: self
                        .if_version_id
                        .as_deref()
                        .map(|id| Which::parse(Some(id)))
                        .transpose()?,
                    conditions: conditions(self.if_match.as_deref(), self.if_none_match.as_deref()),
                    action,
                })
            }
        }
    };
}

/// What is said of an object that is put or copied.
macro_rules! described {
    ($said:expr) => {{
        let said = $said;
        let headers = [
            ("content_type", &mut said.content_type),
            ("content_encoding", &mut said.content_encoding),
            ("content_disposition", &mut said.content_disposition),
            ("content_language", &mut said.content_language),
            ("cache_control", &mut said.cache_control),
            ("expires", &mut said.expires),
        ];
        let [
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
        ] = headers.map(|(name, value)| header(name, value.take()));
        Headers {
            content_type: content_type?,
            content_encoding: content_encoding?,
            content_disposition: content_disposition?,
            content_language: content_language?,
            cache_control: cache_control?,
            expires: expires?,
            website_redirect: String::new(),
            storage_class: String::new(),
        }
    }};
}

operation! {
    /// A new object, with its bytes.
    struct Put {
        text: Option<String>,
        base64: Option<String>,
        content_type: Option<String>,
        content_encoding: Option<String>,
        content_disposition: Option<String>,
        content_language: Option<String>,
        cache_control: Option<String>,
        expires: Option<String>,
        storage_class: Option<String>,
        acl: Option<String>,
        metadata: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    }
}

operation! {
    /// A copy. With `metadata` all that is said of the source is replaced, with `tags` its tags.
    struct CopyTo {
        from_bucket: Option<String>,
        from_key: String,
        from_version_id: Option<String>,
        from_if_match: Option<String>,
        from_if_none_match: Option<String>,
        content_type: Option<String>,
        content_encoding: Option<String>,
        content_disposition: Option<String>,
        content_language: Option<String>,
        cache_control: Option<String>,
        expires: Option<String>,
        storage_class: Option<String>,
        acl: Option<String>,
        metadata: Option<BTreeMap<String, String>>,
        tags: Option<BTreeMap<String, String>>,
    }
}

operation! {
    /// What a multipart upload has gathered becomes an object.
    struct CompleteTo {
        upload_id: String,
        parts: Vec<PartOf>,
    }
}

operation! {
    /// A deletion: of the object, or of a version of it.
    struct DeleteOf {
        version_id: Option<String>,
    }
}

operation! {
    /// Only conditions.
    struct Required {}
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartOf {
    number: u32,
    etag: String,
}

/// What is answered to a batch that was done.
#[derive(Debug, Serialize)]
struct Answer {
    version: u64,
    results: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    bucket: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delete_marker: bool,
}

/// What is answered to one that was not.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl Inner {
    /// Answers a batch.
    pub(super) async fn batch(&self, request: S3Request<Body>) -> S3Response<Body> {
        let mut caller = self.caller(&request);
        caller.request = caller.request.batch();
        let mut batch = Batch::default();
        match self.do_batch(&caller, request.input, &mut batch).await {
            Ok(done) => json(StatusCode::OK, &answer(&batch, done)),
            Err(error) => refusal(&batch, &error),
        }
    }

    async fn do_batch(&self, caller: &Caller, body: Body, batch: &mut Batch) -> Result<BatchDone> {
        if caller.key.is_none() {
            return Err(Error::new(Code::AccessDenied, "a batch must be signed"));
        }
        let body = whole(body, self.options.batch_bytes_max).await?;
        *batch = parse(caller, &body)?;
        self.core.batch(caller, batch).await
    }
}

/// All of a body.
///
/// # Errors
///
/// [`Code::EntityTooLarge`], and those of a body that does not come as was said.
async fn whole(mut body: Body, bytes_max: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Error::Refused(broken(&error.to_string())))?;
        if bytes.len() + chunk.len() > bytes_max {
            let why = format!("a batch has at most {bytes_max} bytes");
            return Err(Error::new(Code::EntityTooLarge, why));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn parse(caller: &Caller, body: &[u8]) -> Result<Batch> {
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|error| Error::new(Code::MalformedJSON, error.to_string()))?;
    let token = match asked.token {
        Some(text) if text.is_empty() || text.len() > TOKEN_BYTES_MAX => {
            let why = format!("a token has from 1 to {TOKEN_BYTES_MAX} bytes");
            return Err(Error::new(Code::InvalidRequest, why));
        }
        text => text.map(|text| Token::new(caller, &text, body)),
    };
    let numbered = |(at, one): (usize, One)| {
        one.read().map_err(|error| error.with_header(OPERATION, at.to_string()))
    };
    let operations =
        asked.operations.into_iter().enumerate().map(numbered).collect::<Result<_>>()?;
    Ok(Batch { token, operations })
}

impl One {
    fn read(self) -> Result<Operation> {
        match self {
            Self::Put(mut put) => {
                let body = match (put.text.take(), put.base64.take()) {
                    (Some(text), None) => Bytes::from(text),
                    (None, Some(text)) => STANDARD.decode(text).map(Bytes::from).map_err(|_| {
                        Error::new(Code::InvalidRequest, "what base64 says is not base64")
                    })?,
                    _ => {
                        let why = "a put has either text or base64";
                        return Err(Error::new(Code::InvalidRequest, why));
                    }
                };
                let mut headers = described!(&mut put);
                headers.storage_class = storage_class_named(put.storage_class.as_deref())?;
                let metadata = metadata(std::mem::take(&mut put.metadata))?;
                let tags = tags(std::mem::take(&mut put.tags))?;
                let acl = acl(put.acl.as_deref())?;
                let description =
                    Description { headers, metadata, tags, acl, ..Description::default() };
                put.operation(Action::Put(description, body))
            }
            Self::Copy(mut copy) => {
                let headers = described!(&mut copy);
                let replaces = copy.metadata.is_some();
                if !replaces && headers != Headers::default() {
                    let why = "a copy has headers of its own only with metadata of its own";
                    return Err(Error::new(Code::InvalidRequest, why));
                }
                let action = Action::Copy(Box::new(Copy {
                    source: Source {
                        bucket: copy.from_bucket.take().unwrap_or_else(|| copy.bucket.clone()),
                        key: std::mem::take(&mut copy.from_key),
                        which: Which::parse(copy.from_version_id.as_deref())?,
                        conditions: conditions(
                            copy.from_if_match.as_deref(),
                            copy.from_if_none_match.as_deref(),
                        ),
                        ..Source::default()
                    },
                    replace: match copy.metadata.take() {
                        Some(said) => Some((headers, metadata(said)?)),
                        None => None,
                    },
                    replace_tags: copy.tags.take().map(tags).transpose()?,
                    storage_class: storage_class_named(copy.storage_class.as_deref())?,
                    description: Description {
                        acl: acl(copy.acl.as_deref())?,
                        ..Description::default()
                    },
                    conditions: conditions(copy.if_match.as_deref(), copy.if_none_match.as_deref()),
                }));
                copy.operation(action)
            }
            Self::Complete(complete) => {
                let part = |part: &PartOf| {
                    if !(1..=PARTS_MAX).contains(&part.number) {
                        let why = format!("the number of a part is from 1 to {PARTS_MAX}");
                        return Err(Error::new(Code::InvalidRequest, why));
                    }
                    let etag = part.etag.trim_matches('"').to_owned();
                    Ok(NamedPart { number: part.number, etag, checksum: None })
                };
                let action = Action::Complete(
                    complete.upload_id.clone(),
                    Complete {
                        parts: complete.parts.iter().map(part).collect::<Result<_>>()?,
                        conditions: conditions(
                            complete.if_match.as_deref(),
                            complete.if_none_match.as_deref(),
                        ),
                        ..Complete::default()
                    },
                );
                complete.operation(action)
            }
            Self::Delete(delete) => {
                let which = Which::parse(delete.version_id.as_deref())?;
                delete.operation(Action::Delete(which))
            }
            Self::Require(require) => require.operation(Action::Require),
        }
    }
}

fn conditions(if_match: Option<&str>, if_none_match: Option<&str>) -> Conditions {
    Conditions {
        if_match: if_match.map(EtagMatch::parse),
        if_none_match: if_none_match.map(EtagMatch::parse),
        ..Conditions::default()
    }
}

/// What a header can say.
fn header(name: &str, value: Option<String>) -> Result<String> {
    let value = value.unwrap_or_default();
    match HeaderValue::from_str(&value) {
        Ok(_) => Ok(value),
        Err(_) => Err(Error::new(Code::InvalidRequest, format!("{name} can stand in no header"))),
    }
}

fn metadata(said: BTreeMap<String, String>) -> Result<Vec<Pair>> {
    for (name, value) in &said {
        let name_ok = HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes()).is_ok();
        if name.is_empty() || !name_ok || HeaderValue::from_str(value).is_err() {
            let why = format!("the metadata {name:?} can stand in no header");
            return Err(Error::new(Code::InvalidRequest, why));
        }
    }
    convert::metadata(Some(said.into_iter().collect()))
}

fn tags(said: BTreeMap<String, String>) -> Result<Vec<Pair>> {
    let tags: Vec<Pair> = said.into_iter().map(|(name, value)| Pair { name, value }).collect();
    check_tags(&tags, OBJECT_TAGS_MAX)?;
    Ok(tags)
}

fn acl(name: Option<&str>) -> Result<AclWish> {
    let Some(name) = name else { return Ok(AclWish::Default) };
    let none = || Error::new(Code::InvalidArgument, format!("{name:?} is no canned list"));
    Ok(AclWish::Canned(Canned::named(name).ok_or_else(none)?))
}

fn answer(batch: &Batch, done: BatchDone) -> Answer {
    let told = |(operation, done): (&Operation, crate::record::Done)| Told {
        bucket: operation.bucket.clone(),
        key: operation.key.clone(),
        etag: (!done.etag.is_empty()).then(|| format!("\"{}\"", done.etag)),
        version_id: (!done.version_id.is_empty()).then_some(done.version_id),
        delete_marker: done.delete_marker,
    };
    let results = batch.operations.iter().zip(done.results).map(told).collect();
    Answer { version: done.version.0, results }
}

fn refusal(batch: &Batch, error: &Error) -> S3Response<Body> {
    if let Error::Store(cause) = error {
        tracing::warn!(kind = ?cause.kind(), %cause, "the store could not do a batch");
    }
    let refusal = error.refusal();
    let number = refusal.headers.iter().find(|(name, _)| *name == OPERATION);
    let number = number.and_then(|(_, number)| number.parse().ok());
    let operation: Option<&Operation> = number.and_then(|at: usize| batch.operations.get(at));
    let refused = Refused {
        code: refusal.code.name(),
        message: refusal.message.clone(),
        operation: number,
        bucket: operation.map(|operation| &operation.bucket[..]),
        key: operation.map(|operation| &operation.key[..]),
    };
    let status = StatusCode::from_u16(refusal.code.status());
    json(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &refused)
}

fn json(status: StatusCode, answer: &impl Serialize) -> S3Response<Body> {
    // Text and numbers only: there is nothing in it that JSON has no form for.
    let text = serde_json::to_vec(answer).unwrap_or_default();
    let mut response = S3Response::with_status(Body::from(text), status);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessKey;

    fn read(text: &str) -> Result<Batch> {
        parse(&Caller::of(AccessKey::new("secret", "alice")), text.as_bytes())
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let one = |fields: &str| {
            format!(
                r#"{{"operations":[{{"op":"put","text":"x","bucket":"b","key":"k"}},{{{fields}}}]}}"#
            )
        };
        let at_1 = Some("1");
        let cases = [
            ("[]".to_owned(), Code::MalformedJSON, None),
            (r#"{"operations":[],"more":1}"#.to_owned(), Code::MalformedJSON, None),
            (r#"{"operations":[],"token":""}"#.to_owned(), Code::InvalidRequest, None),
            (one(r#""op":"move","bucket":"b","key":"k""#), Code::MalformedJSON, None),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","size":1"#),
                Code::MalformedJSON,
                None,
            ),
            (one(r#""op":"delete","bucket":"b""#), Code::MalformedJSON, None),
            (one(r#""op":"put","bucket":"b","key":"k""#), Code::InvalidRequest, at_1),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","base64":"""#),
                Code::InvalidRequest,
                at_1,
            ),
            (one(r#""op":"put","bucket":"b","key":"k","base64":"%""#), Code::InvalidRequest, at_1),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","metadata":{"a b":""}"#),
                Code::InvalidRequest,
                at_1,
            ),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","metadata":{"a":"x\ny"}"#),
                Code::InvalidRequest,
                at_1,
            ),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","content_type":"x\r\ny"#)
                    .replace("ny", "ny\""),
                Code::InvalidRequest,
                at_1,
            ),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","tags":{"":""}"#),
                Code::InvalidTag,
                at_1,
            ),
            (
                one(r#""op":"put","bucket":"b","key":"k","text":"","acl":"all""#),
                Code::InvalidArgument,
                at_1,
            ),
            (
                one(r#""op":"copy","bucket":"b","key":"k","from_key":"l","content_type":"a/b""#),
                Code::InvalidRequest,
                at_1,
            ),
            (
                one(r#""op":"delete","bucket":"b","key":"k","version_id":"7""#),
                Code::InvalidArgument,
                at_1,
            ),
            (
                one(
                    r#""op":"complete","bucket":"b","key":"k","upload_id":"7","parts":[{"number":0,"etag":""}]"#,
                ),
                Code::InvalidRequest,
                at_1,
            ),
        ];
        for (text, code, operation) in cases {
            let refusal = read(&text).expect_err(&text).refusal();
            assert_eq!(refusal.code, code, "{text}: {}", refusal.message);
            let number = refusal.headers.iter().find(|(name, _)| *name == OPERATION);
            assert_eq!(number.map(|(_, number)| &number[..]), operation, "{text}");
        }
    }

    #[test]
    fn operations_are_read_with_all_that_is_said() {
        let batch = read(
            r#"{"token":"t","operations":[
                {"op":"put","bucket":"b","key":"k","base64":"aGk=","content_type":"a/b","if_none_match":"*",
                 "metadata":{"Colour":"green"},"tags":{"a":"1"},"acl":"public-read"},
                {"op":"copy","bucket":"b","key":"l","from_key":"k","from_if_match":"\"ab\""},
                {"op":"delete","bucket":"c","key":"m","version_id":"null","if_match":"*"},
                {"op":"require","bucket":"c","key":"n","if_version_id":"null"}]}"#,
        )
        .unwrap();
        assert!(batch.token.is_some());
        let [put, copy, delete, require] = &batch.operations[..] else { panic!("{batch:?}") };
        let Action::Put(description, body) = &put.action else { panic!("{put:?}") };
        assert_eq!((&body[..], &description.headers.content_type[..]), (&b"hi"[..], "a/b"));
        assert_eq!(description.metadata[0].name, "colour");
        assert_eq!(put.conditions.if_none_match, Some(EtagMatch::Any));
        let Action::Copy(copied) = &copy.action else { panic!("{copy:?}") };
        assert_eq!((&copied.source.bucket[..], &copied.source.key[..]), ("b", "k"));
        assert_eq!(copied.source.conditions.if_match, Some(EtagMatch::Of(vec!["ab".to_owned()])));
        assert!(matches!(&delete.action, Action::Delete(Which::Null)));
        assert!(matches!(
            (&require.action, &require.if_version),
            (Action::Require, Some(Which::Null))
        ));
    }
}
