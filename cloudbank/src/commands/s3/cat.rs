//! `s3 cat`: objects to standard output, read ahead in parts.

use super::failed;
use super::place::S3Place;
use super::transfer::{Reader, Wanted};
use crate::cli::WhichVersion;
use crate::commands::provider::parse_range;
use crate::error::{Error, Result};
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::object::Name;

pub(super) struct Cat {
    names: Vec<Name>,
    range: Option<(u64, Option<u64>)>,
}

impl Cat {
    pub(super) fn new(
        objects: &[String],
        which: &WhichVersion,
        range: Option<&str>,
    ) -> Result<Self> {
        let names: Vec<_> =
            objects.iter().map(|text| S3Place::object(text, which)).collect::<Result<_>>()?;
        if which.version_id.is_some() && names.len() > 1 {
            return Err(Error::Usage("--version-id is about one object".into()));
        }
        let range = range.map(parse_range).transpose()?;
        Ok(Self { names, range: range.map(|range| (range.start, range.end)) })
    }

    pub(super) async fn run(self, context: &Context, client: Client) -> Result<()> {
        let reader = Reader::new(client);
        for name in &self.names {
            let head = reader.client.head(name).await.map_err(failed(format!("read {name}")))?;
            let (start, end) = match self.range {
                None => (0, head.size),
                Some((start, end)) => (start, end.unwrap_or(u64::MAX).min(head.size)),
            };
            if self.range.is_some() && start >= head.size {
                return Err(Error::Usage(format!(
                    "{name} has no bytes from {start} on: it has {}",
                    head.size
                )));
            }
            let wanted = Wanted { name, head: &head, start, length: end - start };
            reader.in_order(&wanted, |bytes| context.output.bytes(bytes)).await?;
        }
        Ok(())
    }
}
