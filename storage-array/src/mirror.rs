//! `mirror`: a copy on every member.

use std::sync::Arc;

use storage_core::{Env, Result};

use crate::array::{Array, array_front};
use crate::cell::Shape;
use crate::core::wrong;
use crate::member::Member;

/// Keeps a copy of every object on each of its members. Any one of them is enough to read.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::{Member, Mirror};
/// use storage_core::{Get, Key, PutIf, StorageProvider};
/// use storage_wrappers::TokioEnv;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let members = ["home", "aws", "azure"].map(|name| Member::new(name, Arc::new(MemoryProvider::new())));
/// let mirror = Mirror::new(members, None, Arc::new(TokioEnv::new()))?;
/// let key = Key::new("a")?;
/// mirror.put(&key, "body".into(), PutIf::Always).await?;
/// assert_eq!(&mirror.get(&key, Get::whole()).await?.body[..], b"body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Mirror(Array);

impl Mirror {
    /// A mirror on these members. A put must reach `quorum` of them before it is acknowledged: by default
    /// two, or one where there are only two.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured), naming the setting: no member or more than
    /// 255, a name twice, a quorum that cannot be.
    pub fn new(
        members: impl IntoIterator<Item = Member>,
        quorum: Option<usize>,
        env: Arc<dyn Env>,
    ) -> Result<Self> {
        let members: Vec<_> = members.into_iter().collect();
        let total = members.len();
        let total = u8::try_from(total).ok().filter(|total| *total > 0).ok_or_else(|| {
            wrong(format!("`members` has {total} names, but a mirror has 1 to 255"))
        })?;
        Array::new("mirror", Shape { data: 1, total }, members, quorum, env).map(Self)
    }
}

array_front!(Mirror);
