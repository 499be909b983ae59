//! Verifying the object that says which store it is.

use storage_core::StorageProviderExt;
use storage_log::{LogId, Record, Slot};

use super::{Severity, Verifier};
use crate::format::root::{LogAt, Root};
use crate::store::{format_key, key};
use crate::{Error, ErrorKind, Result};

/// Where in an entry the id of its log is.
const LOG_ID: std::ops::Range<usize> = 8..24;

impl Verifier<'_> {
    /// Which store it is: as `format` says, unless the log knows better.
    pub(super) async fn root(&mut self) -> Result<Root> {
        let name = format_key()?;
        let provider = self.place.objects.clone();
        let Some(object) = provider.try_get(&name).await? else {
            let Some(root) = self.root_in_log().await? else {
                return Err(Error::new(
                    ErrorKind::NoStore,
                    format!("there is no store on {}", self.place.name()),
                ));
            };
            self.found(Severity::Lost, "format", None, "it is missing");
            return Ok(root);
        };
        let said = Root::decode(&object.body);
        if let Err(error) = &said
            && error.kind() == ErrorKind::UnknownFormat
        {
            return said;
        }
        let in_log = self.root_in_log().await?;
        self.read(object.body.len() as u64);
        let what = match (&said, in_log) {
            (Ok(said), Some(in_log)) if said.id != in_log.id => {
                format!(
                    "it says that the store is {}, but the log is that of {}",
                    said.id, in_log.id
                )
            }
            (Ok(said), _) => return Ok(*said),
            (Err(error), _) => error.to_string(),
        };
        self.found(Severity::Lost, "format", None, what);
        match in_log {
            Some(root) => Ok(root),
            None => said,
        }
    }

    /// Which store it is as its voters say, or as the first two entries agree on, or the only one has.
    async fn root_in_log(&mut self) -> Result<Option<Root>> {
        if self.place.is_quorum() {
            return self.place.root_on_voters().await;
        }
        let id = self.id_in_log().await?;
        Ok(id.map(|id| Root { id, log: LogAt::Provider, is_replica: false }))
    }

    /// The id that the first two entries of the log agree on, or the only one has.
    async fn id_in_log(&mut self) -> Result<Option<LogId>> {
        let mut ids = Vec::new();
        for slot in 1..=2_u64 {
            let Some(object) =
                self.place.objects.try_get(&key(format!("log/{slot:016x}"))?).await?
            else {
                continue;
            };
            let Some(id) = object.body.get(LOG_ID).and_then(|id| id.try_into().ok()) else {
                continue;
            };
            if Record::decode(LogId(id), Slot(slot), object.body).is_ok() {
                ids.push(LogId(id));
            }
        }
        ids.dedup();
        Ok(if ids.len() == 1 { ids.pop() } else { None })
    }
}
