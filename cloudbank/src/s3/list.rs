//! What is in a bucket, page by page, each page held against the one before.

use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::client::{Call, Client, Result};
use super::failure::Failure;

/// An object of a listing, or a version of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) last_modified: String,
    pub(crate) storage_class: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) is_latest: Option<bool>,
    /// Whether it is the version that says that there is none.
    #[serde(skip)]
    pub(crate) is_delete_marker: bool,
}

/// An upload that was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: String,
}

/// One thing in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Object(Object),
    /// All keys that begin so.
    Folder(String),
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    /// Whether what is below the next slash is one entry.
    pub(crate) folders: bool,
    /// All versions, not only the current ones.
    pub(crate) versions: bool,
    pub(crate) start_after: Option<String>,
}

/// A listing under way.
#[derive(Debug)]
pub(crate) struct Lister {
    client: Client,
    listing: Listing,
    next: Next,
    /// The last key there was: all that follow are after it.
    last: Option<String>,
}

#[derive(Debug)]
enum Next {
    First,
    Token(String),
    Marker { key: String, version: String },
    End,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    encoding_type: Option<String>,
    next_continuation_token: Option<String>,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    contents: Vec<Object>,
    version: Vec<Object>,
    delete_marker: Vec<Object>,
    common_prefixes: Vec<Folder>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Folder {
    prefix: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UploadPage {
    is_truncated: bool,
    encoding_type: Option<String>,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    upload: Vec<Upload>,
}

impl Client {
    pub(crate) fn list(&self, listing: Listing) -> Lister {
        Lister { client: self.clone(), listing, next: Next::First, last: None }
    }

    /// The uploads that were begun and not ended, of keys with a prefix.
    pub(crate) async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>> {
        let mut uploads: Vec<Upload> = Vec::new();
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut call = Call::new(Method::GET, bucket, "")
                .query("uploads", "")
                .query("encoding-type", "url")
                .query("prefix", prefix);
            if let Some((key, id)) = &marker {
                call = call.query("key-marker", key).query("upload-id-marker", id);
            }
            let page: UploadPage = self.read(call).await?;
            let decode = decoder(page.encoding_type.as_deref())?;
            for mut upload in page.upload {
                upload.key = decode(&upload.key)?;
                uploads.push(upload);
            }
            if !page.is_truncated {
                return Ok(uploads);
            }
            let key = page.next_key_marker.as_deref().map(decode).transpose()?;
            let next = key.zip(page.next_upload_id_marker);
            if next.is_none() || next == marker {
                return Err(repeats(bucket));
            }
            marker = next;
        }
    }
}

impl Lister {
    /// The entries of the next page, in order; `None` at the end.
    ///
    /// # Errors
    ///
    /// As all requests; and for a page that goes back, or that promises more without saying where.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<Entry>>> {
        if matches!(self.next, Next::End) {
            return Ok(None);
        }
        let page: Page = self.client.read(self.call()).await?;
        let decode = decoder(page.encoding_type.as_deref())?;
        let mut entries = Vec::new();
        let current = page.contents.into_iter().chain(page.version);
        let gone = page
            .delete_marker
            .into_iter()
            .map(|object| Object { is_delete_marker: true, ..object });
        for mut object in current.chain(gone) {
            object.key = decode(&object.key)?;
            entries.push(Entry::Object(object));
        }
        for folder in page.common_prefixes {
            entries.push(Entry::Folder(decode(&folder.prefix)?));
        }
        // Versions, delete markers and folders come in lists of their own.
        if self.listing.versions {
            newest_first(&mut entries);
        } else if self.listing.folders {
            entries.sort_by(|a, b| a.name().cmp(b.name()));
        }
        self.check(&entries)?;
        let next = match page.is_truncated {
            false => Next::End,
            true => match (page.next_continuation_token, page.next_key_marker) {
                (Some(token), _) if !token.is_empty() => Next::Token(token),
                (_, Some(key)) => Next::Marker {
                    key: decode(&key)?,
                    version: page.next_version_id_marker.unwrap_or_default(),
                },
                _ => {
                    return Err(Failure::wrong_answer(format!(
                        "the listing of `{}` says that there is more, but not where",
                        self.listing.bucket
                    )));
                }
            },
        };
        let stuck = match (&self.next, &next) {
            (Next::Token(before), Next::Token(after)) => before == after,
            (Next::Marker { key: a, version: b }, Next::Marker { key: c, version: d }) => {
                (a, b) == (c, d)
            }
            _ => false,
        };
        if stuck {
            return Err(repeats(&self.listing.bucket));
        }
        self.next = next;
        if let Some(entry) = entries.last() {
            self.last = Some(entry.name().to_owned());
        }
        Ok(Some(entries))
    }

    fn call(&self) -> Call {
        let Listing { bucket, prefix, folders, versions, start_after } = &self.listing;
        let mut call = Call::new(Method::GET, bucket, "").query("encoding-type", "url");
        call = match versions {
            true => call.query("versions", ""),
            false => call.query("list-type", "2"),
        };
        call = call.query("prefix", prefix);
        if *folders {
            call = call.query("delimiter", "/");
        }
        match &self.next {
            Next::Token(token) => call = call.query("continuation-token", token),
            Next::Marker { key, version } => {
                call = call.query("key-marker", key);
                if !version.is_empty() {
                    call = call.query("version-id-marker", version);
                }
            }
            Next::First | Next::End => {
                if let Some(after) = start_after {
                    let name = if *versions { "key-marker" } else { "start-after" };
                    call = call.query(name, after);
                }
            }
        }
        call
    }

    /// Holds a page against the one before: a key comes once, after those before it, and begins as it should.
    fn check(&self, entries: &[Entry]) -> Result<()> {
        let mut last = self.last.as_deref();
        for entry in entries {
            let name = entry.name();
            if !name.starts_with(&self.listing.prefix) {
                return Err(Failure::wrong_answer(format!(
                    "the listing of `{}` has `{}`, which was not asked for",
                    self.listing.bucket,
                    name.escape_debug()
                )));
            }
            let goes_on = match last {
                None => true,
                Some(last) if self.listing.versions => last <= name,
                Some(last) => last < name,
            };
            if !goes_on {
                return Err(repeats(&self.listing.bucket));
            }
            last = Some(name);
        }
        Ok(())
    }
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Object(object) => &object.key,
            Self::Folder(prefix) => prefix,
        }
    }
}

/// Versions and delete markers are told apart, each list newest first; together they are by time.
fn newest_first(entries: &mut [Entry]) {
    let time = |entry: &Entry| match entry {
        Entry::Object(object) => {
            (!object.is_latest.unwrap_or_default(), object.last_modified.clone())
        }
        Entry::Folder(_) => (false, String::new()),
    };
    entries.sort_by(|a, b| {
        let (a_older, a_time) = time(a);
        let (b_older, b_time) = time(b);
        a.name().cmp(b.name()).then(a_older.cmp(&b_older)).then(b_time.cmp(&a_time))
    });
}

fn repeats(bucket: &str) -> Failure {
    Failure::wrong_answer(format!(
        "the listing of `{bucket}` goes in circles: it cannot be trusted"
    ))
}

/// How keys are read: as they are, or where the service says so, with what XML cannot hold as `%XX`.
fn decoder(encoding: Option<&str>) -> Result<impl Fn(&str) -> Result<String> + Copy> {
    let is_encoded = match encoding {
        None | Some("") => false,
        Some("url") => true,
        Some(other) => {
            return Err(Failure::wrong_answer(format!("a listing is encoded as `{other}`")));
        }
    };
    Ok(move |text: &str| {
        if !is_encoded {
            return Ok(text.to_owned());
        }
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| {
            Failure::wrong_answer(format!("a listing has a key that is not UTF-8: `{text}`"))
        })
    })
}
