//! `s3 ...`: the words of the commands on buckets and objects of any S3 service.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::s3_transfer::{CopyArgs, Filters, SyncArgs};

#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
An address is s3://BUCKET/KEY; what does not begin with s3:// is a file, and - is standard input or
output. Which service, and with which keys? The first of these that is said:
  1. --provider NAME, a provider of type s3 in the configuration; or --endpoint, --profile
  2. the environment: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID
  3. the table [s3] of the configuration, or the keys beside it: the server that
     `cloudbank serve` starts here
  4. ~/.aws/config and ~/.aws/credentials, or what the machine in the cloud hands out: AWS
`-v` says which it is.

Examples:
  cloudbank s3 mb s3://photos
  cloudbank s3 cp -r holiday s3://photos/2026/
  cloudbank s3 ls s3://photos/2026/
  cloudbank s3 sync s3://photos backup --delete
  cloudbank s3 ls --endpoint https://play.example.org --profile play"
)]
pub(crate) struct S3Args {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: S3Command,
}

/// Which service, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct Connection {
    /// A provider of type s3 in the configuration: its endpoint, region and keys
    #[arg(long, short, global = true, value_name = "NAME", conflicts_with_all = ["endpoint", "profile"])]
    pub(crate) provider: Option<String>,
    /// Where the service is, such as https://host:port
    #[arg(long, global = true, value_name = "URL", visible_alias = "endpoint-url")]
    pub(crate) endpoint: Option<String>,
    /// The region that requests are signed for, and buckets are made in
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// A profile in the files of the AWS command line
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The access key to sign with
    #[arg(long, global = true, value_name = "ID", requires = "secret_key")]
    pub(crate) access_key: Option<String>,
    /// Its secret; file:PATH reads it from a file, where others do not see it
    #[arg(long, global = true, value_name = "SECRET", requires = "access_key")]
    pub(crate) secret_key: Option<String>,
    /// Sign nothing
    #[arg(long, global = true, visible_alias = "no-sign-request", conflicts_with = "access_key")]
    pub(crate) anonymous: bool,
    /// Where the bucket goes: into the path, or before the host [default: path; at AWS, virtual]
    #[arg(long, global = true, value_enum)]
    pub(crate) addressing: Option<Style>,
    /// Certificates in PEM to trust besides those of the system
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// Believe any server that it is who it says
    #[arg(long, global = true)]
    pub(crate) no_verify_tls: bool,
    /// How often a request that failed for the moment is sent again
    #[arg(long, global = true, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) retries: u32,
    /// How long the service may keep silent
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// https://host/bucket/key
    Path,
    /// https://bucket.host/key
    Virtual,
}

#[derive(Debug, Subcommand)]
pub(crate) enum S3Command {
    /// Make a bucket
    #[command(after_help = "\
Exit code 4 if there is one of that name.

Examples:
  cloudbank s3 mb s3://photos
  cloudbank s3 mb s3://photos --region eu-central-1
  cloudbank s3 mb s3://photos --if-absent        be content with one of your own")]
    Mb {
        /// s3://BUCKET
        #[arg(value_name = "BUCKET")]
        bucket: String,
        /// Be content with a bucket of your own that is there already
        #[arg(long)]
        if_absent: bool,
    },
    /// Remove a bucket, which must be empty
    #[command(after_help = "\
Examples:
  cloudbank s3 rb s3://photos
  cloudbank s3 rb s3://photos --force            with all that is in it, all versions too")]
    Rb {
        /// s3://BUCKET
        #[arg(value_name = "BUCKET")]
        bucket: String,
        /// Remove what is in it first: objects, their versions, and uploads that were not ended
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List buckets, or what is in one
    Ls(LsArgs),
    /// Copy files to objects, objects to files, or objects to objects
    Cp(CopyArgs),
    /// Copy, then remove what was copied
    Mv(CopyArgs),
    /// Make one side as the other is
    Sync(SyncArgs),
    /// Remove objects
    Rm(RmArgs),
    /// Show what is known of an object or a bucket
    #[command(after_help = "\
Exit code 3 if it is not there.

Examples:
  cloudbank s3 stat s3://photos/2026/a.jpg
  cloudbank s3 stat s3://photos
  cloudbank s3 stat s3://photos/2026/a.jpg --json | jq .metadata")]
    Stat {
        /// s3://BUCKET/KEY, or s3://BUCKET
        #[arg(value_name = "ADDRESS")]
        address: String,
        #[command(flatten)]
        which: WhichVersion,
    },
    /// Write objects to standard output, one after the other
    #[command(after_help = "\
Examples:
  cloudbank s3 cat s3://logs/2026-11-22.gz | zcat
  cloudbank s3 cat s3://logs/a s3://logs/b
  cloudbank s3 cat s3://logs/a --range 0-99      the first hundred bytes
  cloudbank s3 cat s3://notes/a --at '1h ago'    from a cloudbank server: what it was then")]
    Cat {
        /// s3://BUCKET/KEY
        #[arg(required = true, value_name = "OBJECT")]
        objects: Vec<String>,
        #[command(flatten)]
        which: WhichVersion,
        /// Only these bytes: A-B, both included, or A-
        #[arg(long, value_name = "RANGE")]
        range: Option<String>,
    },
    /// Make an address with which anybody may get or put an object for a while
    #[command(after_help = "\
Nothing is sent: whether there is such an object, and whether you may read it, shows when it is used.

Examples:
  cloudbank s3 presign s3://photos/2026/a.jpg
  cloudbank s3 presign s3://photos/2026/a.jpg --expires-in 7days
  cloudbank s3 presign s3://inbox/report.pdf --method put    then: curl -T report.pdf URL")]
    Presign {
        /// s3://BUCKET/KEY
        #[arg(value_name = "OBJECT")]
        object: String,
        #[command(flatten)]
        which: WhichVersion,
        /// What may be done with it
        #[arg(long, value_enum, default_value = "get")]
        method: PresignMethod,
        /// For how long, at most 7days; a number alone is seconds
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires_in: String,
    },
    /// Show who may do what with a bucket or an object
    #[command(after_help = "\
Examples:
  cloudbank s3 getacl s3://photos
  cloudbank s3 getacl s3://photos/2026/a.jpg --json")]
    Getacl {
        /// s3://BUCKET or s3://BUCKET/KEY
        #[arg(value_name = "ADDRESS")]
        address: String,
        #[command(flatten)]
        which: WhichVersion,
    },
    /// Say who may do what with a bucket or an object
    #[command(after_help = "\
Lists of access: private, public-read, public-read-write, authenticated-read, bucket-owner-read,
bucket-owner-full-control, aws-exec-read.

Examples:
  cloudbank s3 setacl s3://photos private
  cloudbank s3 setacl s3://photos/2026/a.jpg public-read
  cloudbank s3 setacl s3://photos/2026/ public-read --recursive")]
    Setacl {
        /// s3://BUCKET or s3://BUCKET/KEY
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// The list of access
        #[arg(value_name = "ACL")]
        acl: String,
        #[command(flatten)]
        which: WhichVersion,
        /// That of every object whose key begins so
        #[arg(long, short)]
        recursive: bool,
    },
}

/// Which version of an object.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WhichVersion {
    /// This version of the object, as `ls --versions` shows it
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    pub(crate) version_id: Option<String>,
    /// As of a version of the store or a time ('1h ago', 2026-11-22T10:00:00Z): cloudbank servers only
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresignMethod {
    Get,
    Put,
    Head,
    Delete,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is below the next / is one line, as a folder is; --recursive lists every object. A key with * ? or
[ is a pattern, unless --literal.

Examples:
  cloudbank s3 ls
  cloudbank s3 ls s3://photos/2026/
  cloudbank s3 ls s3://photos --recursive --total
  cloudbank s3 ls 's3://logs/2026-*/*.gz'
  cloudbank s3 ls s3://photos --versions
  cloudbank s3 ls s3://photos --at '1 day ago'     from a cloudbank server: what was there then
  cloudbank s3 ls s3://photos -r --json | jq .size")]
pub(crate) struct LsArgs {
    /// s3://BUCKET or s3://BUCKET/PREFIX; all buckets without
    #[arg(value_name = "ADDRESS", default_value = "s3://", hide_default_value = true)]
    pub(crate) address: String,
    /// Every object, whatever is below
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// All versions, with their ids
    #[arg(long)]
    pub(crate) versions: bool,
    /// Uploads in parts that were begun and not ended
    #[arg(long, conflicts_with = "versions")]
    pub(crate) uploads: bool,
    /// Sizes in bytes
    #[arg(long)]
    pub(crate) bytes: bool,
    /// Also how many there are, and how large they are together
    #[arg(long, visible_alias = "summarize")]
    pub(crate) total: bool,
    /// At most so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Only keys after this one
    #[arg(long, value_name = "KEY")]
    pub(crate) start_after: Option<String>,
    /// Take * ? and [ in the key as they are
    #[arg(long)]
    pub(crate) literal: bool,
    /// As of a version of the store or a time: cloudbank servers only
    #[arg(long, value_name = "VERSION|TIME", conflicts_with = "uploads")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Removing what is not there succeeds: it is as you want it. On a terminal --recursive asks first.

Examples:
  cloudbank s3 rm s3://photos/2026/a.jpg s3://photos/2026/b.jpg
  cloudbank s3 rm -r s3://photos/2025/
  cloudbank s3 rm -r s3://photos --exclude '*' --include '*.tmp' --dry-run
  cloudbank s3 rm 's3://logs/2025-*.gz'
  cloudbank s3 rm s3://photos/a.jpg --version-id 3sL4kqtJlcpXroDTDm    this version, for good
  cloudbank s3 rm -r --versions s3://photos/secret/                    all versions, for good
  cloudbank s3 rm --uploads s3://photos                                what uploads left behind")]
pub(crate) struct RmArgs {
    /// s3://BUCKET/KEY, or s3://BUCKET/PREFIX with --recursive
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) addresses: Vec<String>,
    /// Every object in the folder of that name
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// All versions, so that nothing is left
    #[arg(long, requires = "recursive", conflicts_with = "uploads")]
    pub(crate) versions: bool,
    /// Uploads in parts that were begun and not ended, not objects
    #[arg(long)]
    pub(crate) uploads: bool,
    /// This version of the object, for good
    #[arg(long, value_name = "ID", conflicts_with_all = ["recursive", "uploads"])]
    pub(crate) version_id: Option<String>,
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Take * ? and [ in the key as they are
    #[arg(long)]
    pub(crate) literal: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// How many requests at a time
    #[arg(long, short, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
}
