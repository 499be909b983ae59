//! `s3 rm`: objects removed, up to a thousand with one request.

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::json;

use super::failed;
use super::filter::{Filter, Pattern};
use super::place::S3Place;
use crate::cli::RmArgs;
use crate::commands::provider::worst_of;
use crate::commands::shown_line;
use crate::error::{Code, Error, Result};
use crate::output::{confirm, count};
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::failure::Failure;
use crate::s3::list::{Entry, Listing};
use crate::s3::multipart::Upload;
use crate::s3::object::{DELETES_MAX, Name};

/// How many requests that delete there are at a time: each is a thousand deletes.
const REQUESTS_MAX: usize = 4;

pub(super) struct Rm {
    arguments: RmArgs,
    filter: Filter,
    places: Vec<(S3Place, Option<Pattern>)>,
}

impl Rm {
    pub(super) fn new(arguments: RmArgs) -> Result<Self> {
        let filter = Filter::new(&arguments.filters)?;
        let literal = arguments.literal || arguments.version_id.is_some();
        let mut places = Vec::new();
        for text in &arguments.addresses {
            let place = S3Place::parse(text)?;
            if place.bucket.is_empty() {
                return Err(Error::Usage(format!("`{text}` names no bucket")));
            }
            let pattern = Pattern::of(&place.key, literal)?;
            if place.key.is_empty() && !arguments.recursive && !arguments.uploads {
                return Err(Error::Usage(format!(
                    "`{text}` is a bucket\n  = --recursive removes all that is in it, `cloudbank s3 rb` the bucket"
                )));
            }
            places.push((place, pattern));
        }
        if arguments.version_id.is_some() && places.len() > 1 {
            return Err(Error::Usage("--version-id is about one object".into()));
        }
        Ok(Self { arguments, filter, places })
    }

    pub(super) async fn run(self, context: &Context, client: Client) -> Result<()> {
        let arguments = &self.arguments;
        if arguments.recursive && !arguments.yes && !arguments.dry_run {
            let shown: Vec<_> = self.places.iter().map(|(place, _)| place.shown()).collect();
            if confirm(&format!("remove all below {}?", shown.join(", "))) == Some(false) {
                return Err(Error::Failed("nothing was removed".into()));
            }
        }
        let mut removed = 0;
        let mut codes = Vec::new();
        for (place, pattern) in &self.places {
            let mut removal = Removal::new(context, &client, &place.bucket, arguments.dry_run);
            let listed = match (arguments.uploads, pattern) {
                (true, _) => self.uploads(context, &client, place, &mut removal).await,
                (false, None) if !arguments.recursive => {
                    let version = arguments.version_id.clone();
                    removal.add(place.key.clone(), version).await
                }
                (false, pattern) => self.many(&client, place, pattern.as_ref(), &mut removal).await,
            };
            let done = removal.end().await;
            removed += done.removed;
            codes.extend(done.codes);
            listed?;
        }
        let what = if arguments.uploads { "upload" } else { "object" };
        let words = match arguments.dry_run {
            true => format!("nothing done; it would be: {} removed", count(removed, what)),
            false => format!("{} removed", count(removed, what)),
        };
        let failed = codes.len();
        context.output.done(
            words,
            &json!({ "removed": removed, "failed": failed, "dry_run": arguments.dry_run }),
        )?;
        worst_of(&codes)
    }

    async fn many(
        &self,
        client: &Client,
        place: &S3Place,
        pattern: Option<&Pattern>,
        removal: &mut Removal<'_>,
    ) -> Result<()> {
        let (prefix, folder) = match pattern {
            Some(pattern) => (pattern.prefix.clone(), pattern.folder.clone()),
            None => {
                let folder = as_folder(&place.key);
                (folder.clone(), folder)
            }
        };
        let versions = self.arguments.versions;
        let listing =
            Listing { bucket: place.bucket.clone(), prefix, versions, ..Listing::default() };
        let mut lister = client.list(listing);
        while let Some(entries) =
            lister.page().await.map_err(failed(format!("list {}", place.shown())))?
        {
            for entry in entries {
                let Entry::Object(object) = entry else { continue };
                let fits = pattern.is_none_or(|pattern| pattern.matches(&object.key));
                if fits && self.filter.takes(&object.key[folder.len()..]) {
                    removal.add(object.key, object.version_id.filter(|_| versions)).await?;
                }
            }
        }
        Ok(())
    }

    async fn uploads(
        &self,
        context: &Context,
        client: &Client,
        place: &S3Place,
        removal: &mut Removal<'_>,
    ) -> Result<()> {
        let list = failed(format!("list the uploads of {}", place.shown()));
        for upload in client.uploads(&place.bucket, &place.key).await.map_err(list)? {
            if !self.filter.takes(&upload.key) {
                continue;
            }
            let upload =
                Upload { name: Name::new(&place.bucket, &upload.key), id: upload.upload_id };
            if !self.arguments.dry_run {
                let done = client.abort(&upload).await;
                if let Err(failure) = done {
                    removal.refused(failed(format!("give up {}", upload.name))(failure));
                    continue;
                }
            }
            removal.done.removed += 1;
            say(context, "give up", &upload.name)?;
        }
        Ok(())
    }
}

/// A prefix that is taken for a folder.
pub(super) fn as_folder(key: &str) -> String {
    match key.is_empty() || key.ends_with('/') {
        true => key.to_owned(),
        false => format!("{key}/"),
    }
}

/// What has been removed so far.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) removed: u64,
    /// Of those that were not.
    pub(super) codes: Vec<Code>,
}

type Batch = Vec<(String, Option<String>)>;
type Answered = (Batch, crate::s3::client::Result<Vec<crate::s3::object::NotDeleted>>);

/// Objects of a bucket being removed, many with a request.
pub(super) struct Removal<'a> {
    context: &'a Context,
    client: &'a Client,
    bucket: String,
    dry_run: bool,
    silent: bool,
    batch: Batch,
    under_way: FuturesUnordered<futures_util::future::LocalBoxFuture<'a, Answered>>,
    pub(super) done: Removed,
}

impl<'a> Removal<'a> {
    pub(super) fn new(
        context: &'a Context,
        client: &'a Client,
        bucket: &str,
        dry_run: bool,
    ) -> Self {
        Self {
            context,
            client,
            bucket: bucket.to_owned(),
            dry_run,
            silent: false,
            batch: Vec::new(),
            under_way: FuturesUnordered::new(),
            done: Removed::default(),
        }
    }

    /// Says nothing of single objects.
    pub(super) fn silent(&mut self) {
        self.silent = true;
    }

    pub(super) async fn add(&mut self, key: String, version: Option<String>) -> Result<()> {
        self.batch.push((key, version));
        match self.batch.len() >= DELETES_MAX {
            true => self.send().await,
            false => Ok(()),
        }
    }

    /// All that was added is removed, or it is known why not.
    pub(super) async fn end(mut self) -> Removed {
        let sent = self.send().await;
        if let Err(error) = sent.and(self.wait_for(0).await) {
            self.refused(error);
        }
        self.done
    }

    /// As [`end`](Self::end), where one failure is one too many: how many were removed.
    pub(super) async fn finish(self) -> Result<u64> {
        let done = self.end().await;
        worst_of(&done.codes).map(|()| done.removed)
    }

    pub(super) fn refused(&mut self, error: Error) {
        self.done.codes.push(match error.code() {
            Code::Usage => Code::Failed,
            code => code,
        });
        self.context.output.failure(&error);
    }

    async fn send(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        if self.dry_run {
            return self.removed(&batch);
        }
        self.wait_for(REQUESTS_MAX - 1).await?;
        let (client, bucket) = (self.client, self.bucket.clone());
        self.under_way.push(Box::pin(async move {
            // A single one is asked for in the plainest way there is.
            let answer = match &batch[..] {
                [(key, version)] => {
                    let name = Name { bucket, key: key.clone(), version: version.clone() };
                    client.delete(&name).await.map(|()| Vec::new())
                }
                _ => client.delete_all(&bucket, &batch).await,
            };
            (batch, answer)
        }));
        Ok(())
    }

    async fn wait_for(&mut self, left: usize) -> Result<()> {
        while self.under_way.len() > left {
            let Some((batch, answer)) = self.under_way.next().await else { return Ok(()) };
            match answer {
                Ok(refused) if refused.is_empty() => self.removed(&batch)?,
                Ok(refused) => {
                    let is_refused = |key: &str, version: &Option<String>| {
                        refused.iter().any(|refused| {
                            refused.key == key
                                && (refused.version_id.is_none() || refused.version_id == *version)
                        })
                    };
                    let batch: Vec<_> = batch
                        .into_iter()
                        .filter(|(key, version)| !is_refused(key, version))
                        .collect();
                    self.removed(&batch)?;
                    for refused in refused {
                        let name = Name::new(&self.bucket, &refused.key);
                        let status = http::StatusCode::FORBIDDEN;
                        let mut failure =
                            Failure::of_answer(status, &refused.code, &refused.message, false);
                        failure.status = None;
                        self.refused(failed(format!("remove {name}"))(failure));
                    }
                }
                Err(failure) => {
                    let what = match &batch[..] {
                        [(key, _)] => format!("remove {}", Name::new(&self.bucket, key)),
                        batch => {
                            let keys = count(batch.len() as u64, "object");
                            let first = shown_line(&batch[0].0);
                            format!("remove {keys} from s3://{}/{first} on", self.bucket)
                        }
                    };
                    self.refused(failed(what)(failure));
                }
            }
        }
        Ok(())
    }

    fn removed(&mut self, batch: &[(String, Option<String>)]) -> Result<()> {
        self.done.removed += batch.len() as u64;
        if self.silent {
            return Ok(());
        }
        for (key, version) in batch {
            let name =
                Name { bucket: self.bucket.clone(), key: key.clone(), version: version.clone() };
            say(self.context, "remove", &name)?;
        }
        Ok(())
    }
}

/// Says that something was done with an object.
fn say(context: &Context, action: &str, name: &Name) -> Result<()> {
    let output = &context.output;
    let mut value = json!({ "action": action, "bucket": name.bucket, "key": name.key });
    if let Some(version) = &name.version {
        value["version_id"] = json!(version);
    }
    output.done(format_args!("{action:8} {name}"), &value)
}
