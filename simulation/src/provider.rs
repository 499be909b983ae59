//! A node's handle on a provider of the world.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use storage_core::{
    Atomicity, Capabilities, Durability, Get, KEY_BYTES_MAX, Key, List, ListConsistency, Object,
    Page, ProviderInfo, PutIf, Result, Sharing, StorageProvider, Version, Versions,
};

use crate::Place;
use crate::objects::{Answer, Call};
use crate::request::Pending;
use crate::world::World;

/// The largest object, in bytes: what the object stores of large clouds take.
const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// A provider as one node sees it: made by [`Node::provider`](crate::Node::provider).
///
/// Each call is one attempt. Once it has been polled, its request is on its way, and neither dropping
/// the future nor a crash of the node calls it back. Lists are declared eventual, since the plan of a
/// run may make them so; everything else is what the best services promise.
#[derive(Clone)]
pub struct SimProvider {
    pub(crate) world: Arc<World>,
    pub(crate) node: u32,
    pub(crate) place: Place,
}

impl SimProvider {
    async fn ask(&self, call: Call) -> Result<Answer> {
        Pending::send(&self.world, self.node, self.place.0, call).await
    }
}

impl fmt::Debug for SimProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimProvider").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageProvider for SimProvider {
    fn info(&self) -> ProviderInfo {
        let name = self.world.state().places[self.place.0 as usize].name.to_string();
        ProviderInfo {
            name: name.into(),
            capabilities: Capabilities {
                absent: Atomicity::AllClients,
                matches: Atomicity::AllClients,
                list: ListConsistency::Eventual,
                durability: Durability::PowerLoss,
                versions: Versions::PerWrite,
                sharing: Sharing::AllClients,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: OBJECT_BYTES_MAX,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        match self.ask(Call::Put { key: key.clone(), body, when }).await? {
            Answer::Put(version) => Ok(version),
            Answer::Get(_) | Answer::List(_) | Answer::Delete => unreachable!("not what was asked"),
        }
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        match self.ask(Call::Get { key: key.clone(), request }).await? {
            Answer::Get(object) => Ok(object),
            Answer::Put(_) | Answer::List(_) | Answer::Delete => unreachable!("not what was asked"),
        }
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let List { prefix, start_after, limit } = request;
        let call = Call::List { prefix: prefix.clone(), start_after: start_after.cloned(), limit };
        match self.ask(call).await? {
            Answer::List(page) => Ok(page),
            Answer::Put(_) | Answer::Get(_) | Answer::Delete => unreachable!("not what was asked"),
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.ask(Call::Delete { key: key.clone() }).await.map(drop)
    }
}
