//! Forms of browsers: the name of the file takes the place of `${filename}` in the key, fields that `s3s` does not
//! read are noted, and it sees no signature of version 2 that is wrong.
//!
//! `s3s` reads forms but knows nothing of that, so the fields are held until the file's own name has come by. Policies
//! are then compared with the key as it will be.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request};
use http_body::Frame;
use s3s::Body;

use crate::Access;
use crate::door::version_2;

/// What stands for the name of the file.
const FILE_NAME: &str = "${filename}";

/// What stands in the place of a signature that is wrong, and is wrong too.
const NO_SIGNATURE: &str = "-";

/// What a form says that `s3s` hands on to nobody. It is in the extensions of the request, and known once the file is.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted(Arc<Mutex<Fields>>);

/// The fields of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// The tags, as XML.
    pub(super) tagging: Option<String>,
    /// There is a policy.
    pub(super) policy: bool,
    /// It has an end that is no time as S3 writes it.
    pub(super) ends_badly: bool,
    /// There is a signature.
    pub(super) signature: bool,
}

impl Noted {
    pub(super) fn fields(&self) -> Fields {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The request, with that in the key of its form, if it is one.
pub(super) fn expand(
    mut request: Request<Body>,
    fields_bytes_max: usize,
    access: Arc<dyn Access>,
) -> Request<Body> {
    match boundary(request.headers()) {
        Some(boundary) if request.method() == Method::POST => {
            let noted = Noted::default();
            request.extensions_mut().insert(noted.clone());
            request.map(|body| {
                let delimiter = format!("--{boundary}").into_bytes();
                let held = BytesMut::new();
                let done = false;
                let form = Form { body, delimiter, held, fields_bytes_max, noted, access, done };
                Body::http_body_unsync(form)
            })
        }
        _ => request,
    }
}

/// The boundary of the parts of a form.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = kind.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.into())
    })
}

/// The body of a form.
struct Form {
    body: Body,
    /// What stands before each part.
    delimiter: Vec<u8>,
    /// The fields so far.
    held: BytesMut,
    fields_bytes_max: usize,
    noted: Noted,
    /// What signatures are compared with.
    access: Arc<dyn Access>,
    /// Whether the fields have been handed on, and the rest goes through as it comes.
    done: bool,
}

impl http_body::Body for Form {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
            if self.done {
                return Poll::Ready(polled);
            }
            let ended = match polled {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.held.extend_from_slice(&data);
                        false
                    }
                    // What comes after a body means nothing here.
                    Err(_) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => true,
            };
            let read = expanded(&self.held, &self.delimiter, &*self.access);
            let expanded = read.map(|(expanded, fields)| {
                *self.noted.0.lock().unwrap_or_else(PoisonError::into_inner) = fields;
                expanded
            });
            if expanded.is_some() || ended || self.held.len() > self.fields_bytes_max {
                self.done = true;
                let held = self.held.split().freeze();
                return Poll::Ready(Some(Ok(Frame::data(expanded.unwrap_or(held)))));
            }
        }
    }
}

/// All that has come, with the name in the key, and what the fields say; nothing while the part with the file has not
/// begun.
fn expanded(held: &[u8], delimiter: &[u8], access: &dyn Access) -> Option<(Bytes, Fields)> {
    let (mut at, mut fields) = (0, Fields::default());
    let mut key = None;
    let (mut id, mut policy, mut signature) = (None, None, None);
    loop {
        let begin = at + find(&held[at..], delimiter)? + delimiter.len();
        let end = begin + find(&held[begin..], b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&held[begin..end]).into_owned();
        at = end + 4;
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        let name = disposition.and_then(|text| parameter(text, "name"));
        let value = |ending: &[u8]| Some(at..at + find(&held[at..], ending)?);
        match name.unwrap_or_default().to_ascii_lowercase().as_str() {
            "file" if name == Some("file") => {
                let name = disposition.and_then(|text| parameter(text, "filename"));
                let wrong = signature.filter(|at| !is_right(held, access, [&id, &policy], at));
                return Some((changed(held, key, name.unwrap_or_default(), wrong), fields));
            }
            "key" => key = Some(value(b"\r\n")?),
            "awsaccesskeyid" => id = Some(value(b"\r\n")?),
            "signature" => {
                fields.signature = true;
                signature = Some(value(b"\r\n")?);
            }
            "x-amz-signature" => fields.signature = true,
            "policy" => {
                let value = value(b"\r\n")?;
                fields.policy = true;
                fields.ends_badly = ends_badly(&held[value.clone()]);
                policy = Some(value);
            }
            "tagging" => {
                let value = &held[value(b"\r\n--")?];
                fields.tagging = Some(String::from_utf8_lossy(value).into_owned());
            }
            _ => {}
        }
    }
}

/// Whether a policy has an end in another form than `2007-12-01T12:00:00.000Z`. `s3s` takes any that can be read.
fn ends_badly(policy: &[u8]) -> bool {
    let Ok(policy) = STANDARD.decode(policy) else { return false };
    let Ok(policy) = serde_json::from_slice::<serde_json::Value>(&policy) else { return false };
    let end = policy.get("expiration").and_then(serde_json::Value::as_str);
    end.is_some_and(|end| end.as_bytes().get(10) != Some(&b'T') || !end.ends_with('Z'))
}

/// Whether the signature of a policy may be looked at by others. Where there is none to compare, they refuse it.
fn is_right(
    held: &[u8],
    access: &dyn Access,
    signed: [&Option<Range<usize>>; 2],
    signature: &Range<usize>,
) -> bool {
    let text = |at: &Range<usize>| std::str::from_utf8(&held[at.clone()]).unwrap_or_default();
    let [Some(id), Some(policy)] = signed else { return true };
    version_2::check(access, text(id), text(policy), text(signature)).is_ok()
}

/// The form with the name of the file in its key, and without the signature that is wrong.
fn changed(
    held: &[u8],
    key: Option<Range<usize>>,
    path: &str,
    wrong: Option<Range<usize>>,
) -> Bytes {
    // Some browsers say the whole path of the file.
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let key = key.and_then(|at| {
        let text = std::str::from_utf8(&held[at.clone()]).ok()?;
        Some((at, text.replace(FILE_NAME, name)))
    });
    let wrong = wrong.map(|at| (at, NO_SIGNATURE.to_owned()));
    let mut changes: Vec<_> = [key, wrong].into_iter().flatten().collect();
    changes.sort_by_key(|(at, _)| at.start);
    let (mut form, mut done) = (BytesMut::with_capacity(held.len() + name.len()), 0);
    for (at, text) in changes {
        form.extend_from_slice(&held[done..at.start]);
        form.extend_from_slice(text.as_bytes());
        done = at.end;
    }
    form.extend_from_slice(&held[done..]);
    form.freeze()
}

/// A parameter of a header, in quotation marks.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(';').find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        found.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

fn find(held: &[u8], wanted: &[u8]) -> Option<usize> {
    held.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::AccessKey;

    struct One;

    impl Access for One {
        fn key(&self, access_key: &str) -> Option<AccessKey> {
            (access_key == "me").then(|| AccessKey::new("secret", "me"))
        }
    }

    fn field(name: &str, value: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(name: &str) -> String {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: a/b\r\n\r\n${{filename}}\r\n--x--\r\n"
        )
    }

    /// What becomes of a form that comes in pieces of this size.
    async fn after(text: &str, piece: usize) -> String {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(piece)
            .map(|piece| Ok::<_, s3s::StdError>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        let request = Request::post("/bucket")
            .header(CONTENT_TYPE, "multipart/form-data; charset=utf-8; boundary=\"x\"")
            .body(Body::http_body_unsync(body))
            .unwrap();
        let body =
            expand(request, 900, Arc::new(One)).into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.into()).unwrap()
    }

    #[tokio::test]
    async fn the_name_of_the_file_is_in_the_key_and_nothing_else_is_touched() {
        let other = field("x-amz-meta-name", "${filename}");
        let cases = [
            ("up/${filename}", "a b.txt", "up/a b.txt"),
            ("${filename}", "C:\\photos\\ä.png", "ä.png"),
            ("${filename}/${filename}", "/home/me/a", "a/a"),
            ("up/${filename}", "", "up/"),
            ("up/name", "a", "up/name"),
        ];
        for (key, name, expected) in cases {
            for piece in [1, 7, 1000] {
                let form = format!("{}{other}{}", field("Key", key), file(name));
                let wanted = format!("{}{other}{}", field("Key", expected), file(name));
                assert_eq!(after(&form, piece).await, wanted, "{key} {name} {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_signature_of_version_2_that_is_wrong_is_not_handed_on() {
        const RIGHT: &str = "3KeROaoASbxgUSU+Qu1QG4MqvzI=";
        let cases = [
            (["me", "e30=", RIGHT], RIGHT),
            (["me", "e30=", "AAR1BzKaBxCv8lqKkqNMCuEbtfo="], NO_SIGNATURE),
            (["me", "e31=", RIGHT], NO_SIGNATURE),
            (["me", "e30=", ""], NO_SIGNATURE),
            // That there is no such key is told in other words.
            (["you", "e30=", RIGHT], RIGHT),
        ];
        let form = |[id, policy, signature]: [&str; 3], key: &str| {
            let signed = field("AWSAccessKeyId", id) + &field("Policy", policy);
            signed + &field("signature", signature) + &field("key", key) + &file("b")
        };
        for (said, expected) in cases {
            for piece in [7, 1000] {
                let wanted = form([said[0], said[1], expected], "a/b");
                assert_eq!(after(&form(said, "a/${filename}"), piece).await, wanted, "{said:?}");
            }
        }
    }

    #[tokio::test]
    async fn tags_and_a_policy_are_noted_once_the_file_has_come() {
        let tags = "<Tagging>\r\n<TagSet/></Tagging>";
        let form = field("tagging", tags) + &field("Policy", "e30=") + &file("a");
        let request = Request::post("/bucket")
            .header(CONTENT_TYPE, "multipart/form-data; boundary=x")
            .body(Body::from(form))
            .unwrap();
        let request = expand(request, 900, Arc::new(One));
        let noted = request.extensions().get::<Noted>().cloned().unwrap();
        assert_eq!(noted.fields(), Fields::default());
        request.into_body().collect().await.unwrap();
        let expected = Fields { tagging: Some(tags.to_owned()), policy: true, ..Fields::default() };
        assert_eq!(noted.fields(), expected);
    }

    #[test]
    fn a_policy_ends_at_a_time_as_s3_writes_it() {
        let cases = [
            (r#"{"expiration":"2007-12-01T12:00:00.000Z"}"#, false),
            (r#"{"expiration":"2007-12-01T12:00:00Z"}"#, false),
            (r#"{"expiration":"2007-12-01 12:00:00.000000+00:00"}"#, true),
            (r#"{"expiration":"2007-12-01T12:00:00+00:00"}"#, true),
            (r#"{"expiration":"soon"}"#, true),
            // What is no policy at all is found by others.
            (r#"{"expiration":7}"#, false),
            ("{", false),
        ];
        for (policy, expected) in cases {
            assert_eq!(ends_badly(STANDARD.encode(policy).as_bytes()), expected, "{policy}");
        }
    }

    #[tokio::test]
    async fn what_is_no_such_form_goes_through_as_it_is() {
        let long = field("key", "${filename}") + &field("more", &"y".repeat(1000)) + &file("a");
        let cases = ["", "nothing", &field("key", "${filename}"), &file("a"), &long];
        for text in cases {
            for piece in [1, 7, 300] {
                assert_eq!(after(text, piece).await, text);
            }
        }
        let mut headers = HeaderMap::new();
        assert_eq!(boundary(&headers), None);
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; boundary=x"));
        assert_eq!(boundary(&headers), None);
    }
}
