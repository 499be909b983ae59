//! Where the store of a run is kept: on one provider, or its log on a quorum of three and its objects on an array of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use simulation::{Node, Sim};
use storage_array::{Erasure, Member, Mirror};
use storage_core::{
    Env, Error, ErrorKind, Get, Key, List, ListConsistency, Object, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, StorageProviderExt, Version, async_trait,
};
use storage_txn::{Place, QuorumOptions};

/// Where a store is kept.
#[derive(Debug, Clone)]
pub(crate) enum Site {
    One(simulation::Place),
    Quorum(Arc<Clouds>),
    /// The objects on a provider of their own, and the log there or on the three.
    Moving(Arc<Clouds>),
}

/// Three clouds, each of which votes, and where the objects are.
#[derive(Debug)]
pub(crate) struct Clouds {
    pub(crate) voters: Vec<Cloud>,
    objects: Objects,
    options: QuorumOptions,
}

/// A cloud, and what befalls it.
#[derive(Debug)]
pub(crate) struct Cloud {
    place: simulation::Place,
    pub(crate) shut: AtomicBool,
    /// How much longer a request takes.
    pub(crate) slow_millis: AtomicU64,
}

/// Where the objects are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Objects {
    /// On a provider of their own.
    Apart(simulation::Place),
    /// Copies on all three.
    Mirror,
    /// Pieces on all three, of which any two are enough.
    Erasure,
}

impl Site {
    pub(crate) fn quorum(
        sim: &mut Sim,
        objects: impl FnOnce(&mut Sim) -> Objects,
        options: QuorumOptions,
    ) -> Self {
        let cloud = |name| Cloud {
            place: sim.place(name),
            shut: AtomicBool::new(false),
            slow_millis: AtomicU64::new(0),
        };
        let voters = ["cloud0", "cloud1", "cloud2"].map(cloud).into();
        Self::Quorum(Arc::new(Clouds { voters, objects: objects(sim), options }))
    }

    /// One whose log is moved, to begin with where the objects are.
    pub(crate) fn moving(sim: &mut Sim) -> Self {
        let objects = |sim: &mut Sim| Objects::Apart(sim.place("objects"));
        match Self::quorum(sim, objects, QuorumOptions::default()) {
            Self::Quorum(clouds) => Self::Moving(clouds),
            other => other,
        }
    }

    /// The provider of everything but the log.
    pub(crate) fn objects(&self, node: &Node) -> Arc<dyn StorageProvider> {
        let clouds = match self {
            Self::One(place) => return Arc::new(node.provider(*place)),
            Self::Quorum(clouds) | Self::Moving(clouds) => clouds,
        };
        let members = || {
            let names = ["cloud0", "cloud1", "cloud2"].into_iter();
            let all = names.zip(clouds.providers(node));
            all.map(|(name, provider)| Member::new(name, provider)).collect::<Vec<_>>()
        };
        match clouds.objects {
            Objects::Apart(place) => Arc::new(node.provider(place)),
            Objects::Mirror => Arc::new(Mirror::new(members(), None, node.env()).unwrap()),
            Objects::Erasure => Arc::new(Erasure::new(2, 1, members(), None, node.env()).unwrap()),
        }
    }

    pub(crate) fn place(&self, node: &Node) -> Place {
        let objects = self.objects(node);
        match self {
            Self::One(_) => objects.into(),
            Self::Moving(clouds) => Place::from(objects).with_spares(clouds.providers(node)),
            Self::Quorum(clouds) => Place::quorum(clouds.providers(node), objects)
                .with_quorum_options(clouds.options.clone()),
        }
    }

    /// Nothing befalls anything any more.
    pub(crate) fn heal(&self) {
        if let Self::Quorum(clouds) | Self::Moving(clouds) = self {
            for cloud in &clouds.voters {
                cloud.shut.store(false, Ordering::Relaxed);
                cloud.slow_millis.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Clouds {
    fn providers(self: &Arc<Self>, node: &Node) -> Vec<Arc<dyn StorageProvider>> {
        let all = self.voters.iter().enumerate().map(|(at, cloud)| {
            let inner = Arc::new(node.provider(cloud.place));
            let gated = Gated { inner, clouds: self.clone(), at, env: node.env() };
            Arc::new(gated) as Arc<dyn StorageProvider>
        });
        all.collect()
    }

    /// Deletes all that a cloud has, the markers of voters first.
    pub(crate) async fn wipe(&self, node: &Node, at: usize) {
        let provider = node.provider(self.voters[at].place);
        let all = Prefix::all();
        let mut left = true;
        while left {
            node.env().sleep(Duration::from_millis(100)).await;
            let Ok(listed) = provider.list_all(&all).try_collect::<Vec<_>>().await else {
                continue;
            };
            let (markers, others): (Vec<_>, Vec<_>) =
                listed.into_iter().partition(|listed| listed.key.as_str().ends_with("/voter"));
            left = !markers.is_empty() || !others.is_empty();
            for listed in if markers.is_empty() { others } else { markers } {
                let _ = provider.delete(&listed.key).await;
            }
        }
    }
}

/// A cloud that can be shut and slowed down.
#[derive(Debug)]
struct Gated {
    inner: Arc<dyn StorageProvider>,
    clouds: Arc<Clouds>,
    at: usize,
    env: Arc<dyn Env>,
}

impl Gated {
    async fn pass(&self) -> Result<()> {
        let cloud = &self.clouds.voters[self.at];
        let millis = cloud.slow_millis.load(Ordering::Relaxed);
        if millis > 0 {
            self.env.sleep(Duration::from_millis(millis)).await;
        }
        if cloud.shut.load(Ordering::Relaxed) {
            // As a connection that is refused in the middle: who knows what arrived.
            return Err(Error::unknown(ErrorKind::Unavailable, "the cloud is down"));
        }
        Ok(())
    }
}

#[async_trait]
impl StorageProvider for Gated {
    fn info(&self) -> ProviderInfo {
        let mut info = self.inner.info();
        // The plans of these runs leave lists as they are.
        info.capabilities.list = ListConsistency::Strong;
        info
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.pass().await?;
        self.inner.put(key, body, when).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.pass().await?;
        self.inner.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.pass().await?;
        self.inner.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.pass().await?;
        self.inner.delete(key).await
    }
}
