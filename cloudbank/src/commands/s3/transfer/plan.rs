//! What `cp` and `mv` are to do: every source, and where it goes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use futures_util::stream;

use super::side::{Found, Item, Side, of_file};
use super::work::{End, Known, Next, Task, Worker};
use super::{Options, Then};
use crate::cli::CopyArgs;
use crate::commands::folder::Folder;
use crate::commands::s3::filter::Pattern;
use crate::commands::s3::place::{Place, S3Place, as_of};
use crate::commands::s3::rm::as_folder;
use crate::error::{Error, Result};
use crate::s3::object::Name;

/// Sources, and where they go.
pub(super) struct Copy {
    sources: Vec<Source>,
    target: Target,
}

#[derive(Debug, Clone)]
enum Source {
    Stdin,
    File(PathBuf),
    Folder(PathBuf),
    Object(Name),
    Objects { place: S3Place, bucket: String, pattern: Option<Pattern> },
}

#[derive(Debug, Clone)]
enum Target {
    Stdout,
    /// One file, of this name.
    File(PathBuf),
    Folder(PathBuf),
    /// One object, of this name.
    Object(Name),
    /// A bucket, and what all keys begin with.
    Prefix(String, String),
}

impl Copy {
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be meant.
    pub(super) fn new(arguments: &CopyArgs, options: &Options) -> Result<Self> {
        let (target, sources) = arguments.places.split_last().expect("there are two at least");
        let target = Place::parse(target)?;
        let sources: Vec<_> = sources
            .iter()
            .map(|text| source(&Place::parse(text)?, arguments, options))
            .collect::<Result<_>>()?;
        let many = sources.len() > 1
            || matches!(sources[..], [Source::Folder(_) | Source::Objects { .. }]);
        let target = match (&target, &sources[..]) {
            // What has no name of its own takes the one that is said, whatever it ends with.
            (Place::Object(place), [Source::Stdin])
                if !place.key.is_empty() && !place.bucket.contains('@') =>
            {
                Target::Object(Name::new(&place.bucket, &place.key))
            }
            (target, _) => self::target(target, many)?,
        };
        for source in &sources {
            check(source, &target, options)?;
        }
        if arguments.version_id.is_some() && many {
            return Err(Error::Usage("--version-id is about one object".into()));
        }
        if options.then == Then::Remove && arguments.version_id.is_some() {
            return Err(Error::Usage("a version cannot be moved: copy it".into()));
        }
        Ok(Self { sources, target })
    }

    pub(super) async fn run(self, worker: &Worker<'_>) -> Result<()> {
        let folder = match &self.target {
            Target::Folder(path) => Some(Folder::open(path, worker.options.dry_run)?),
            _ => None,
        };
        let planner = Planner {
            worker,
            sources: self.sources.into(),
            target: self.target,
            folder,
            listed: None,
        };
        let next = stream::try_unfold(planner, async |mut planner| {
            let next = planner.next().await?;
            if next.is_none() {
                worker.tally.all_is_known();
            }
            Ok(next.map(|next| (next, planner)))
        });
        worker.all(next).await
    }
}

fn source(place: &Place, arguments: &CopyArgs, options: &Options) -> Result<Source> {
    match place {
        Place::Stdio => Ok(Source::Stdin),
        Place::File(path) => {
            let shown = path.display();
            let about = std::fs::metadata(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::NotFound(format!("there is no file {shown}"))
                }
                _ => Error::file(format!("read {shown}"))(error),
            })?;
            match (about.is_dir(), arguments.recursive) {
                (true, false) => Err(Error::Usage(format!(
                    "{shown} is a folder\n  = --recursive copies all that is in it"
                ))),
                (true, true) => Ok(Source::Folder(path.clone())),
                (false, _) => Ok(Source::File(path.clone())),
            }
        }
        Place::Object(place) => {
            let shown = place.shown();
            if place.bucket.is_empty() {
                return Err(Error::Usage(format!("{shown} names no bucket")));
            }
            let bucket = as_of(&place.bucket, options.at.as_deref())?;
            let literal = arguments.literal || arguments.version_id.is_some();
            if let Some(pattern) = Pattern::of(&place.key, literal)? {
                return Ok(Source::Objects {
                    place: place.clone(),
                    bucket,
                    pattern: Some(pattern),
                });
            }
            if arguments.recursive {
                let place = S3Place { key: as_folder(&place.key), ..place.clone() };
                return Ok(Source::Objects { place, bucket, pattern: None });
            }
            if place.key.is_empty() {
                return Err(Error::Usage(format!(
                    "{shown} is a bucket\n  = --recursive copies all that is in it"
                )));
            }
            let (key, version) = (place.key.clone(), arguments.version_id.clone());
            Ok(Source::Object(Name { bucket, key, version }))
        }
    }
}

fn target(place: &Place, many: bool) -> Result<Target> {
    match place {
        Place::Stdio if many => Err(Error::Usage(
            "several objects do not go to standard output\n  = `cloudbank s3 cat` writes one after the other"
                .into(),
        )),
        Place::Stdio => Ok(Target::Stdout),
        Place::File(path) => {
            let ends_in_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
            match many || ends_in_slash || path.is_dir() {
                true => Ok(Target::Folder(path.clone())),
                false => Ok(Target::File(path.clone())),
            }
        }
        Place::Object(place) if place.bucket.is_empty() => {
            Err(Error::Usage("the target names no bucket: s3://BUCKET".into()))
        }
        Place::Object(place) if place.bucket.contains('@') => {
            Err(Error::Usage("what is past cannot be changed: leave out what comes after @".into()))
        }
        Place::Object(place) => match many || place.key.is_empty() || place.key.ends_with('/') {
            true => Ok(Target::Prefix(place.bucket.clone(), as_folder(&place.key))),
            false => Ok(Target::Object(Name::new(&place.bucket, &place.key))),
        },
    }
}

/// Refuses what would go nowhere, or round in circles.
fn check(source: &Source, target: &Target, options: &Options) -> Result<()> {
    let to_object = matches!(target, Target::Object(_) | Target::Prefix(..));
    if let Source::Object(Name { bucket, .. }) | Source::Objects { bucket, .. } = source
        && to_object
    {
        not_past(bucket)?;
    }
    match source {
        Source::Stdin if !matches!(target, Target::Object(_)) => {
            return Err(Error::Usage("standard input goes to one object: s3://BUCKET/KEY".into()));
        }
        Source::Stdin if options.then == Then::Remove => {
            return Err(Error::Usage("standard input cannot be moved: copy it".into()));
        }
        Source::File(_) | Source::Folder(_) if !to_object => {
            return Err(Error::Usage(
                "one of both must be an object: s3://BUCKET/KEY\n  = between files, use the system's cp".into(),
            ));
        }
        Source::Object(from) => {
            let to = match target {
                Target::Object(to) => Some(to.clone()),
                Target::Prefix(bucket, prefix) => {
                    let base = basename(&from.key);
                    Some(Name::new(bucket, &format!("{prefix}{base}")))
                }
                _ => None,
            };
            if to.is_some_and(|to| to == *from) {
                onto_itself(options)?;
            }
        }
        Source::Objects { place, bucket, pattern } => {
            let folder = pattern.as_ref().map_or(&place.key, |pattern| &pattern.folder);
            if let Target::Prefix(to, prefix) = target
                && to == bucket
                && prefix.starts_with(folder.as_str())
            {
                if prefix != folder {
                    return Err(Error::Usage(format!(
                        "s3://{to}/{prefix} is in {}: it would be copied into itself",
                        place.shown()
                    )));
                }
                onto_itself(options)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// No service takes the source of a copy from the past.
///
/// # Errors
///
/// [`Error::Usage`].
pub(super) fn not_past(bucket: &str) -> Result<()> {
    match bucket.contains('@') {
        true => Err(Error::Usage(
            "what is past cannot be copied within the service\n  = copy it into a folder, and that into a bucket".into(),
        )),
        false => Ok(()),
    }
}

/// An object can be copied onto itself, to change what is said of it, but not moved.
fn onto_itself(options: &Options) -> Result<()> {
    match options.then == Then::Keep && options.given.replaces() {
        true => Ok(()),
        false => Err(Error::Usage(
            "source and target are the same\n  = with --metadata, --content-type and their like, `cp` changes what is said of objects".into(),
        )),
    }
}

fn basename(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Goes through the sources.
struct Planner<'a, 'b> {
    worker: &'a Worker<'b>,
    sources: VecDeque<Source>,
    target: Target,
    folder: Option<Folder>,
    /// The source that stands for many and is being listed.
    listed: Option<Side>,
}

impl Planner<'_, '_> {
    async fn next(&mut self) -> Result<Option<Next>> {
        loop {
            if let Some(side) = &mut self.listed {
                match side.next(self.worker.options).await? {
                    Some(item) => match self.item(item)? {
                        Some(next) => return Ok(Some(next)),
                        None => continue,
                    },
                    None => self.listed = None,
                }
            }
            let Some(source) = self.sources.pop_front() else { return Ok(None) };
            let one = match source {
                Source::Folder(path) => {
                    self.listed = Some(Side::files(&path, self.worker.options.follow_links));
                    continue;
                }
                Source::Objects { place, bucket, pattern } => {
                    let client = self.worker.client();
                    self.listed = Some(Side::objects(client, &place, &bucket, pattern));
                    continue;
                }
                Source::Stdin => self.task(End::Stdio, "", None)?,
                Source::File(path) => {
                    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                    let about = std::fs::metadata(&path)
                        .map_err(Error::file(format!("read {}", path.display())))?;
                    let known = of_file(about.len(), about.modified().ok());
                    let known = about.is_file().then_some(known);
                    self.task(End::File(path), &name.unwrap_or_default(), known)?
                }
                Source::Object(name) => {
                    let base = basename(&name.key).to_owned();
                    self.task(End::Object(name), &base, None)?
                }
            };
            return Ok(Some(one));
        }
    }

    fn item(&mut self, item: Item) -> Result<Option<Next>> {
        match item {
            Item::Found(found) if found.is_folder() && self.folder.is_some() => {
                tracing::info!("{} only stands for a folder", found.end.shown());
                Ok(None)
            }
            Item::Found(Found { name, end, known }) => self.task(end, &name, Some(known)).map(Some),
            Item::LeftOut { what, why } => Ok(Some(Next::LeftOut { what, why: why.into() })),
            Item::Failed(error) => Ok(Some(Next::Failed(error))),
        }
    }

    /// Where it goes.
    fn task(&mut self, from: End, name: &str, known: Option<Known>) -> Result<Next> {
        let to = match &self.target {
            Target::Stdout => End::Stdio,
            Target::Object(name) => End::Object(name.clone()),
            Target::Prefix(_, _) if name.is_empty() => {
                let what = from.shown();
                return Ok(Next::Failed(Error::Failed(format!(
                    "{what}: say how it is to be called"
                ))));
            }
            Target::Prefix(bucket, prefix) => {
                End::Object(Name::new(bucket, &format!("{prefix}{name}")))
            }
            Target::File(path) => {
                make_parent(path, self.worker.options.dry_run)?;
                End::File(path.clone())
            }
            Target::Folder(_) => match placed(self.folder.as_mut(), &from, name)? {
                Ok(path) => End::File(path),
                Err(error) => return Ok(Next::Failed(error)),
            },
        };
        if let Some(known) = &known {
            self.worker.tally.expect(known.size);
        }
        Ok(Next::Move(Box::new(Task { from, to, known })))
    }
}

/// The file of that name in a folder; why there is none, naming the key.
pub(super) fn placed(
    folder: Option<&mut Folder>,
    from: &End,
    name: &str,
) -> Result<std::result::Result<PathBuf, Error>> {
    let folder = folder.expect("a target that is a folder was opened");
    Ok(folder
        .place(name.as_bytes())?
        .map_err(|why| Error::Failed(format!("{} cannot be a file: {why}", from.shown()))))
}

fn make_parent(path: &Path, dry_run: bool) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !dry_run => {
            let what = format!("write {}", parent.display());
            std::fs::create_dir_all(parent).map_err(Error::file(what))
        }
        _ => Ok(()),
    }
}
