//! Where a store is kept: all of it on one provider, or its objects on one and its log on a quorum of others.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use storage_core::{
    Atomicity, Created, Env, ErrorKind as StorageErrorKind, Key, PutIf, StorageProvider,
    StorageProviderExt,
};
use storage_log::quorum::{QuorumLog, QuorumOptions, VOTERS_MAX};
use storage_log::{LogId, ProviderLog};

use crate::format::root::{LogAt, Root};
use crate::move_log::LogTarget;
use crate::store::{format_key, key, prefix};
use crate::store_log::{Leg, StoreLog};
use crate::{Error, ErrorKind, Result};

/// Where a store is kept.
///
/// A provider is a place: it keeps both the log, in which races are decided, and the objects. Or the log is on a
/// [quorum](Self::quorum) of voters, of which any minority may fail, and the objects are on a provider that need not
/// decide anything, such as an array.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::StorageProvider;
/// use storage_txn::{Options, Place, Store};
/// # #[tokio::main]
/// # async fn main() -> Result<(), storage_txn::Error> {
/// # let env = Arc::new(storage_wrappers::TokioEnv::new());
///
/// let clouds: Vec<Arc<dyn StorageProvider>> =
///     (0..3).map(|_| Arc::new(MemoryProvider::new()) as Arc<dyn StorageProvider>).collect();
/// let objects = Arc::new(MemoryProvider::new());
/// let store = Store::init(Place::quorum(clouds, objects), env, Options::default()).await?;
/// store.transact(async |tx| tx.put("a", "1")).await?;
/// assert_eq!(store.info().await?.voters.len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) objects: Arc<dyn StorageProvider>,
    quorum: Option<Quorum>,
    spares: Vec<Arc<dyn StorageProvider>>,
}

/// The voters of a log.
#[derive(Debug, Clone)]
struct Quorum {
    voters: Vec<Arc<dyn StorageProvider>>,
    options: QuorumOptions,
}

impl<P: StorageProvider> From<Arc<P>> for Place {
    fn from(provider: Arc<P>) -> Self {
        Self { objects: provider, quorum: None, spares: Vec::new() }
    }
}

impl From<Arc<dyn StorageProvider>> for Place {
    fn from(provider: Arc<dyn StorageProvider>) -> Self {
        Self { objects: provider, quorum: None, spares: Vec::new() }
    }
}

impl Place {
    /// The log on these voters, an odd number of at least three, each of which can put on condition that the key is
    /// absent; everything else on `objects`, which need not. A voter may keep objects too, itself or as a member of an
    /// array: the names do not meet.
    #[must_use]
    pub fn quorum(
        voters: impl IntoIterator<Item = Arc<dyn StorageProvider>>,
        objects: impl Into<Self>,
    ) -> Self {
        let voters = voters.into_iter().collect();
        let quorum = Quorum { voters, options: QuorumOptions::default() };
        Self { objects: objects.into().objects, quorum: Some(quorum), spares: Vec::new() }
    }

    /// The same with providers that do not vote, but may one day: see [`change_voters`](crate::Store::change_voters) and
    /// [`move_log`](crate::Store::move_log). A handle goes on with those who vote then as long as it was told of enough of them.
    #[must_use]
    pub fn with_spares(
        mut self,
        spares: impl IntoIterator<Item = Arc<dyn StorageProvider>>,
    ) -> Self {
        self.spares.extend(spares);
        self
    }

    /// The same, where there are voters, with other options for their log.
    #[must_use]
    pub fn with_quorum_options(mut self, options: QuorumOptions) -> Self {
        if let Some(quorum) = &mut self.quorum {
            quorum.options = options;
        }
        self
    }

    /// The same with something around each of its providers: the one of the objects first, then the voters, then the spares.
    #[must_use]
    pub fn wrapped(
        mut self,
        mut wrap: impl FnMut(Arc<dyn StorageProvider>) -> Arc<dyn StorageProvider>,
    ) -> Self {
        self.objects = wrap(self.objects);
        if let Some(quorum) = &mut self.quorum {
            quorum.voters = std::mem::take(&mut quorum.voters).into_iter().map(&mut wrap).collect();
        }
        self.spares = std::mem::take(&mut self.spares).into_iter().map(wrap).collect();
        self
    }

    /// Its name, for people: that of the provider of the objects, and before it those of the voters.
    #[must_use]
    pub fn name(&self) -> String {
        let objects = self.objects.info().name;
        match &self.quorum {
            None => objects.into_owned(),
            Some(Quorum { voters, .. }) => {
                let voters: Vec<_> = voters.iter().map(|voter| voter.info().name).collect();
                format!("{} with its log on {}", objects, voters.join(", "))
            }
        }
    }

    /// The names of those who may vote, in the order of their numbers: the voters, then the spares.
    #[must_use]
    pub fn voter_names(&self) -> Vec<String> {
        self.candidates().iter().map(|voter| voter.info().name.into_owned()).collect()
    }

    /// The same with its objects here.
    pub(crate) fn with_objects(mut self, objects: Arc<dyn StorageProvider>) -> Self {
        self.objects = objects;
        self
    }

    /// Whether the log is on a quorum.
    pub(crate) fn is_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// # Errors
    ///
    /// [`ErrorKind::NoStore`], and what `format` must not be.
    pub(crate) async fn root(&self) -> Result<Root> {
        let Some(format) = self.objects.try_get(&format_key()?).await? else {
            let message = format!("there is no store on {}; make one with init", self.name());
            return Err(Error::new(ErrorKind::NoStore, message));
        };
        Root::decode(&format.body)
    }

    /// What the voters say that the root is: where one of them can tell.
    pub(crate) async fn root_on_voters(&self) -> Result<Option<Root>> {
        let (voters, key) = (self.candidates(), root_key()?);
        let found = join_all(voters.iter().map(|voter| voter.try_get(&key))).await;
        let roots = found.into_iter().filter_map(|found| Root::decode(&found.ok()??.body).ok());
        Ok(roots.into_iter().next())
    }

    /// A handle on the log of the store `root`.
    ///
    /// # Errors
    ///
    /// What its providers fail with; [`Misconfigured`](StorageErrorKind::Misconfigured) where the log is not what this
    /// place says.
    pub(crate) async fn log(&self, root: Root, env: &Arc<dyn Env>) -> Result<Arc<StoreLog>> {
        match (root.log, &self.quorum) {
            (LogAt::Quorum(_), Some(_)) => self.check()?,
            (LogAt::Provider, Some(_)) => {
                return Err(misconfigured(format!(
                    "the log of the store on {} is there too, and not on a quorum of voters; who is to vote one day is named \
                     as a spare, until the log is moved",
                    self.objects.info().name
                )));
            }
            (LogAt::Provider | LogAt::Folder(_) | LogAt::Quorum(_), _) => {}
        }
        let leg = self.leg(root.id, root.log, env).await?;
        Ok(Arc::new(StoreLog::new(self.clone(), root, env.clone(), leg)))
    }

    /// The log of the store with this id as it is in one place.
    ///
    /// # Errors
    ///
    /// As for [`log`](Self::log).
    pub(crate) async fn leg(&self, id: LogId, at: LogAt, env: &Arc<dyn Env>) -> Result<Leg> {
        let folder = prefix(&at.folder())?;
        if !matches!(at, LogAt::Quorum(_)) {
            let log = ProviderLog::new(self.objects.clone(), folder, id)?;
            return Ok(Leg::new(at, Arc::new(log), None));
        }
        let voters = self.candidates();
        let nobody = || {
            misconfigured(format!(
                "the log of the store on {} is on a quorum of voters: name them, as voters or as spares",
                self.objects.info().name
            ))
        };
        if voters.is_empty() {
            return Err(nobody());
        }
        let options = self.quorum.as_ref().map(|quorum| quorum.options.clone()).unwrap_or_default();
        match QuorumLog::open(id, voters, folder, env.clone(), options).await {
            Ok(log) => {
                let log = Arc::new(log);
                Ok(Leg::new(at, log.clone(), Some(log)))
            }
            Err(error) => Err(match self.why_not(id).await {
                Some(why) => why,
                None if is_not_found(&error) => nobody(),
                None => error.into(),
            }),
        }
    }

    /// Makes a place for the log of the store `id` to move to: on those of these numbers, or where the objects are.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](StorageErrorKind::Misconfigured) for what cannot be the voters of a log, and what they fail with.
    pub(crate) async fn make_leg(&self, root: Root, to: &LogTarget, token: u128) -> Result<LogAt> {
        let LogTarget::Voters(voters) = to else {
            let at = LogAt::Folder(token);
            // Whether it can decide who is first.
            ProviderLog::new(self.objects.clone(), prefix(&at.folder())?, root.id)?;
            return Ok(at);
        };
        let voters = self.chosen(voters)?;
        check_voters(&voters)?;
        for voter in &voters {
            check_free(&**voter, root).await?;
        }
        let at = LogAt::Quorum(token);
        QuorumLog::create(root.id, &voters, &prefix(&at.folder())?).await?;
        Ok(at)
    }

    /// Has those of these numbers say which store they vote for, and where its log is now.
    ///
    /// # Errors
    ///
    /// What they fail with.
    pub(crate) async fn name_log_on(&self, voters: &[usize], root: Root) -> Result<()> {
        let (root_key, made_key) = (&root_key()?, &made_key()?);
        let voters = self.chosen(voters)?;
        try_join_all(voters.iter().map(|voter| async move {
            voter.put(root_key, root.encode(), PutIf::Always).await?;
            voter.put(made_key, Bytes::new(), PutIf::Always).await?;
            Ok::<_, Error>(())
        }))
        .await
        .map(drop)
    }

    /// Those of these numbers.
    fn chosen(&self, numbers: &[usize]) -> Result<Vec<Arc<dyn StorageProvider>>> {
        let candidates = self.candidates();
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < numbers.len() {
            return Err(misconfigured("a voter is named twice".to_owned()));
        }
        Ok(numbers.iter().map(|at| candidates[*at].clone()).collect())
    }

    /// Makes a store with this id here, whose log, if it is on a quorum, is the one of this `token`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreExists`], and what the providers fail with.
    pub(crate) async fn make(&self, id: LogId, token: u128) -> Result<()> {
        let Some(Quorum { voters, .. }) = &self.quorum else {
            let root = Root { id, log: LogAt::Provider, is_replica: false };
            return match self.objects.create_exact(&format_key()?, root.encode()).await? {
                Created::Ours(_) => Ok(()),
                Created::Taken(_) => Err(self.exists()),
            };
        };
        self.check()?;
        if self.objects.try_get(&format_key()?).await?.is_some() {
            return Err(self.exists());
        }
        let (root, token) =
            self.agree(Root { id, log: LogAt::Quorum(token), is_replica: false }).await?;
        QuorumLog::create(root.id, voters, &prefix(&LogAt::Quorum(token).folder())?).await?;
        // With the same bytes whoever takes this step: before it there is no store, and making it goes on where it was
        // interrupted.
        self.objects.put(&format_key()?, root.encode(), PutIf::Always).await?;
        let made = &made_key()?;
        try_join_all(voters.iter().map(|voter| voter.put(made, Bytes::new(), PutIf::Always)))
            .await?;
        Ok(())
    }

    fn exists(&self) -> Error {
        let message = format!("there is a store on {} already", self.objects.info().name);
        Error::new(ErrorKind::StoreExists, message)
    }

    /// Who is first at the first of the voters, in the order of their names, says which store it is: the objects may be
    /// where nobody can be first.
    async fn agree(&self, ours: Root) -> Result<(Root, u128)> {
        let Some(Quorum { voters, .. }) = &self.quorum else { unreachable!("there are voters") };
        let mut voters: Vec<_> = voters.iter().map(|voter| (voter.info().name, voter)).collect();
        voters.sort_by(|one, other| one.0.cmp(&other.0));
        let (key, mut root) = (root_key()?, ours);
        for (nth, (name, voter)) in voters.iter().enumerate() {
            if let Created::Taken(object) = voter.create_exact(&key, root.encode()).await? {
                let theirs = Root::decode(&object.body)?;
                let is_another = nth > 0 && theirs != root;
                if is_another || voter.try_get(&made_key()?).await?.is_some() {
                    return Err(match self.objects.try_get(&format_key()?).await? {
                        Some(_) => self.exists(),
                        None => another_store(name, &theirs),
                    });
                }
                root = theirs;
            }
        }
        match root.log {
            LogAt::Quorum(token) => Ok((root, token)),
            LogAt::Provider | LogAt::Folder(_) => {
                Err(Error::corrupt(format!("{key} does not say where the log is")))
            }
        }
    }

    /// Looks whether this one, by its number among those who may vote, votes for no other store than `root`.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](StorageErrorKind::Misconfigured) if it does, and what it fails with.
    pub(crate) async fn check_free(&self, at: usize, root: Root) -> Result<()> {
        check_free(&*self.candidates()[at], root).await
    }

    /// Has those of these names say which store they vote for: what is told where `format` is lost, and keeps them from
    /// another store.
    ///
    /// # Errors
    ///
    /// What they fail with.
    pub(crate) async fn name_store_on(&self, names: &[String], root: Root) -> Result<()> {
        let (root_key, made_key) = (&root_key()?, &made_key()?);
        let candidates = self.candidates();
        let named = candidates.iter().filter(|voter| names.contains(&voter.info().name.into()));
        let puts = named.map(|voter| async move {
            if voter.try_get(made_key).await?.is_none() {
                voter.put(root_key, root.encode(), PutIf::Always).await?;
                voter.put(made_key, Bytes::new(), PutIf::Always).await?;
            }
            Ok::<_, Error>(())
        });
        try_join_all(puts).await.map(drop)
    }

    /// Those who may vote: the voters, then the spares.
    fn candidates(&self) -> Vec<Arc<dyn StorageProvider>> {
        let voters = self.quorum.iter().flat_map(|quorum| &quorum.voters);
        voters.chain(&self.spares).cloned().collect()
    }

    /// What is wrong with the voters as they are named.
    fn check(&self) -> Result<()> {
        let Some(Quorum { voters, .. }) = &self.quorum else { return Ok(()) };
        check_voters(voters)
    }

    /// Why the log was not found on the voters, if that can be told.
    async fn why_not(&self, id: LogId) -> Option<Error> {
        let voters = &self.candidates();
        let key = root_key().ok()?;
        let found = try_join_all(voters.iter().map(|voter| voter.try_get(&key))).await.ok()?;
        for (voter, found) in voters.iter().zip(found) {
            let Some(Ok(root)) = found.map(|object| Root::decode(&object.body)) else { continue };
            if root.id != id {
                return Some(another_store(&voter.info().name, &root));
            }
        }
        None
    }
}

/// What is wrong with these as the voters of a log.
fn check_voters(voters: &[Arc<dyn StorageProvider>]) -> Result<()> {
    let count = voters.len();
    if count < 3 || count.is_multiple_of(2) || count > VOTERS_MAX {
        return Err(misconfigured(format!(
            "a log has an odd number of voters from 3 to {VOTERS_MAX}, and not {count}: with one more or less it \
             survives the loss of as many"
        )));
    }
    for voter in voters {
        let info = voter.info();
        if info.capabilities.absent == Atomicity::Unsupported {
            return Err(misconfigured(format!(
                "{} cannot put on condition that the key is absent, which a voter has to; let another vote",
                info.name
            )));
        }
    }
    Ok(())
}

/// Looks whether a provider votes for no other store than `root`.
async fn check_free(voter: &dyn StorageProvider, root: Root) -> Result<()> {
    let Some(object) = voter.try_get(&root_key()?).await? else { return Ok(()) };
    let theirs = Root::decode(&object.body)?;
    if theirs.id == root.id { Ok(()) } else { Err(another_store(&voter.info().name, &theirs)) }
}

fn another_store(name: &str, root: &Root) -> Error {
    misconfigured(format!("{name} is a voter of another store, {}", root.id))
}

fn misconfigured(message: String) -> Error {
    storage_core::Error::not_applied(StorageErrorKind::Misconfigured, message).into()
}

/// Where on a voter it is said which store it votes for.
fn root_key() -> Result<Key> {
    key("quorum/root")
}

/// There on the voters of a store that was made: whoever finds it does not go on with making one.
fn made_key() -> Result<Key> {
    key("quorum/made")
}

fn is_not_found(error: &storage_log::Error) -> bool {
    matches!(error, storage_log::Error::Storage(error) if error.kind() == StorageErrorKind::NotFound)
}
