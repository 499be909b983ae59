//! `erasure`: objects in pieces, of which some may be lost.

use std::sync::Arc;

use storage_core::{Env, Result};

use crate::array::{Array, array_front};
use crate::cell::Shape;
use crate::core::wrong;
use crate::member::Member;

/// Cuts objects into `data` pieces and makes `parity` more, one for each member. Any `data` of them are
/// enough to read.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_array::{Erasure, Member};
/// use storage_core::{Get, Key, PutIf, StorageProvider};
/// use storage_wrappers::TokioEnv;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let members = ["home", "aws", "azure"].map(|name| Member::new(name, Arc::new(MemoryProvider::new())));
/// let array = Erasure::new(2, 1, members, None, Arc::new(TokioEnv::new()))?;
/// let key = Key::new("a")?;
/// array.put(&key, "a body in two pieces".into(), PutIf::Always).await?;
/// assert_eq!(&array.get(&key, Get::range(2..6)).await?.body[..], b"body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Erasure(Array);

impl Erasure {
    /// An array in which any `data` members have what it takes to read, and `parity` may be lost. A put
    /// must reach `quorum` members before it is acknowledged: by default one more than `data`, or just
    /// `data` where `parity` is 1.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured), naming the setting: counts that cannot be,
    /// another number of members than pieces, a name twice.
    pub fn new(
        data: usize,
        parity: usize,
        members: impl IntoIterator<Item = Member>,
        quorum: Option<usize>,
        env: Arc<dyn Env>,
    ) -> Result<Self> {
        let members: Vec<_> = members.into_iter().collect();
        if data < 2 || parity < 1 || data + parity > 255 {
            return Err(wrong(format!(
                "`data` is {data} and `parity` {parity}: there must be 2 data pieces or more, 1 parity piece \
                 or more, and 255 at most (a mirror has 1 data piece)"
            )));
        }
        if members.len() != data + parity {
            return Err(wrong(format!(
                "`members` has {} names, but `data` and `parity` make {} pieces",
                members.len(),
                data + parity
            )));
        }
        let shape = Shape { data: data as u8, total: (data + parity) as u8 };
        Array::new("erasure", shape, members, quorum, env).map(Self)
    }
}

array_front!(Erasure);
