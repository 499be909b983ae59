//! The words of `s3 cp`, `s3 mv` and `s3 sync`.

use std::ffi::OsString;

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With --recursive, what is in the folder SRC, or under the prefix SRC/, goes below DST. Several sources,
or one that is a pattern (* ? [a-z] {a,b} in a key), go into DST, too. Large objects go in parts, several
at a time; what breaks off goes on where it was. A file is replaced once all of it has arrived and its
checksum is right; a key that is no safe name of a file (`..`, a / at either end, a NUL byte) is named and
left out. --include and --exclude count in the order in which they are written, the last that fits
decides; they are about the path below SRC, and * matches / too.

Examples:
  cloudbank s3 cp letter.txt s3://notes/
  cloudbank s3 cp s3://notes/letter.txt .
  cloudbank s3 cp -r photos s3://photos/2026/ --exclude '*.tmp'
  cloudbank s3 cp -r s3://photos/2026/ . --exclude '*' --include '*.jpg'
  cloudbank s3 cp 's3://logs/2026-11-*.gz' logs/
  cloudbank s3 cp -r s3://photos s3://backup/photos     within the service: nothing is downloaded
  pg_dump db | cloudbank s3 cp - s3://backup/db.sql
  cloudbank s3 cp s3://backup/db.sql - | psql db
  cloudbank s3 cp index.html s3://site/ --cache-control max-age=60 --acl public-read
  cloudbank s3 cp s3://notes/a . --at '1h ago'          from a cloudbank server: what it was then")]
pub(crate) struct CopyArgs {
    /// Files, folders or s3:// addresses, and at last where to
    #[arg(required = true, num_args = 2.., value_names = ["SRC", "DST"])]
    pub(crate) places: Vec<OsString>,
    /// All that is in the folder
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Leave alone what is there: exit code 4 if a single one is
    #[arg(long, visible_alias = "no-clobber")]
    pub(crate) if_absent: bool,
    /// This version of the object
    #[arg(long, value_name = "ID", conflicts_with_all = ["at", "recursive"])]
    pub(crate) version_id: Option<String>,
    /// Take * ? [ and { in a key as they are
    #[arg(long)]
    pub(crate) literal: bool,
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Copies what is missing or differs: another size, or a source that is newer. So run it again after an
interruption, and it goes on. Downloads get the time of the object, so that they are not newer than it.
--delete removes what only DST has, at last, and only when everything was listed and copied; what
--exclude leaves out is left alone.

Examples:
  cloudbank s3 sync photos s3://photos/2026
  cloudbank s3 sync s3://photos/2026 photos --delete --dry-run
  cloudbank s3 sync s3://photos s3://backup/photos --size-only
  cloudbank s3 sync site s3://site --delete --max-delete 100")]
pub(crate) struct SyncArgs {
    /// A folder or an s3:// address
    #[arg(value_name = "SRC")]
    pub(crate) source: OsString,
    /// A folder or an s3:// address
    #[arg(value_name = "DST")]
    pub(crate) destination: OsString,
    /// Remove what only DST has
    #[arg(long)]
    pub(crate) delete: bool,
    /// Remove nothing if it were more than so many
    #[arg(long, value_name = "N", requires = "delete")]
    pub(crate) max_delete: Option<u64>,
    /// What has the same size is the same
    #[arg(long, conflicts_with = "exact_time")]
    pub(crate) size_only: bool,
    /// What has another time differs, also if the source is older; for uploads, as without
    #[arg(long, visible_alias = "exact-timestamps")]
    pub(crate) exact_time: bool,
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
}

/// What every command that moves objects can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct TransferArgs {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many requests at a time
    #[arg(long, short, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// How large the parts are that large objects go in
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    pub(crate) part_size: String,
    /// The checksum that goes with an upload, for the service to check and keep
    #[arg(long, value_enum, default_value = "crc64nvme")]
    pub(crate) checksum: Checksum,
    /// Go where links lead; without, they are named and left out
    #[arg(long)]
    pub(crate) follow_links: bool,
    /// Take objects as of a version of the store or a time: cloudbank servers only
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// What is kept with an object.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is kept with objects")]
pub(crate) struct AboutArgs {
    /// What it is, such as text/html [default: guessed from the name]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Do not guess what it is
    #[arg(long)]
    pub(crate) no_guess_type: bool,
    /// A word of your own; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) metadata: Vec<String>,
    /// For how long others may keep it, such as max-age=3600
    #[arg(long, value_name = "TEXT")]
    pub(crate) cache_control: Option<String>,
    /// What a browser does with it, such as attachment
    #[arg(long, value_name = "TEXT")]
    pub(crate) content_disposition: Option<String>,
    /// How it is encoded, such as gzip
    #[arg(long, value_name = "TEXT")]
    pub(crate) content_encoding: Option<String>,
    /// Its language, such as de
    #[arg(long, value_name = "TEXT")]
    pub(crate) content_language: Option<String>,
    /// Who may do what: private, public-read, ...
    #[arg(long, value_name = "ACL")]
    pub(crate) acl: Option<String>,
    /// How it is kept, such as STANDARD_IA
    #[arg(long, value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,
    /// How it is encrypted: AES256 or aws:kms
    #[arg(long, value_name = "HOW")]
    pub(crate) sse: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checksum {
    Crc64nvme,
    Crc32c,
    Crc32,
    None,
}

/// Patterns of what to take and what to leave out, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    /// Whether to take what fits, and the pattern.
    pub(crate) list: Vec<(bool, String)>,
}

impl Args for Filters {
    fn augment_args(command: Command) -> Command {
        let argument = |name: &'static str, help: &'static str| {
            clap::Arg::new(name)
                .long(name)
                .value_name("PATTERN")
                .action(clap::ArgAction::Append)
                .help(help)
        };
        command
            .arg(argument("include", "Take what fits; if it comes first, only that"))
            .arg(argument("exclude", "Leave out what fits"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Filters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut list = Vec::new();
        for (name, takes) in [("include", true), ("exclude", false)] {
            let places = matches.indices_of(name).into_iter().flatten();
            let patterns = matches.get_many::<String>(name).into_iter().flatten();
            list.extend(places.zip(patterns).map(|(at, pattern)| (at, takes, pattern.clone())));
        }
        list.sort();
        let list = list.into_iter().map(|(_, takes, pattern)| (takes, pattern)).collect();
        Ok(Self { list })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
