//! What a reader does when a segment is gone: it goes on with a newer view, if that can still tell what it asks.

use std::sync::Arc;

use storage_core::BoxFuture;
use storage_log::planted::planted;

use crate::commits::no_longer_kept;
use crate::session::reaped;
use crate::shared::Shared;
use crate::view::View;
use crate::{Error, Result, Version};

/// Reads from a view at a version; and from a newer one, as often as a segment of it turns out to be gone.
macro_rules! renewing {
    ($view:expr, $version:expr, $name:ident => $read:expr) => {{
        let mut newer: Option<std::sync::Arc<$crate::view::View>> = None;
        loop {
            let $name: &$crate::view::View = newer.as_deref().unwrap_or($view);
            match $read {
                Err(error) if error.missing_object().is_some() => {
                    newer = Some($name.renew($version, error).await?);
                }
                result => break result,
            }
        }
    }};
}

pub(crate) use renewing;

/// Whether a view can still tell what the store was at `version`.
///
/// # Errors
///
/// [`SnapshotExpired`](crate::ErrorKind::SnapshotExpired).
pub(crate) fn check_kept(view: &View, version: Version) -> Result<()> {
    let is_kept = view.system.keeps(version)? || planted("reads-go-below-the-horizon");
    if is_kept { Ok(()) } else { Err(no_longer_kept(view, version)) }
}

impl View {
    /// What its handle knows now. Of this view some may have been read that a newer one does not tell any more.
    pub(crate) fn newest(&self) -> Arc<Self> {
        match self.origin.upgrade() {
            Some(shared) => shared.state().view.clone(),
            None => Arc::new(self.clone()),
        }
    }

    /// A newer view that shows the same at `version`, as an object of this one is missing.
    pub(crate) async fn renew(&self, version: Version, missing: Error) -> Result<Arc<Self>> {
        match self.origin.upgrade() {
            Some(shared) => shared.renew(version, missing).await,
            None => Err(missing),
        }
    }
}

impl Shared {
    /// A view that shows the same at `version` as one of which an object is missing.
    ///
    /// What was taken out of the index is deleted some time after, so a reader that has not heard of it finds it
    /// missing. In the index as it is now, everything at or above the horizon is still told.
    ///
    /// # Errors
    ///
    /// The one handed in when the store still needs what is missing, or this handle does that has made it;
    /// [`SessionReaped`](crate::ErrorKind::SessionReaped) when it was taken from this handle;
    /// [`SnapshotExpired`](crate::ErrorKind::SnapshotExpired) when the version is no longer kept.
    pub(crate) fn renew(
        self: &Arc<Self>,
        version: Version,
        missing: Error,
    ) -> BoxFuture<'static, Result<Arc<View>>> {
        let shared = self.clone();
        // Boxed, as it is rarely needed and would make every read larger.
        Box::pin(async move {
            shared.refresh().await?;
            let (view, is_unnamed) = {
                let state = shared.state();
                let is_unnamed = missing.missing_object().is_some_and(|key| state.relies_on(key));
                (state.view.clone(), is_unnamed)
            };
            if is_unnamed {
                // No newer view is without it: what it holds is no longer in the memory of this handle.
                let session = shared.session_id();
                return Err(match view.system.is_reaped(session) {
                    true => reaped(session).with_source(missing),
                    false => Error::new(
                        missing.kind(),
                        format!("{missing}: this handle has made it, open the store anew"),
                    )
                    .with_source(missing),
                });
            }
            if missing.missing_object().is_none_or(|key| view.system.names_object(key)) {
                let message = format!("{missing}: rebuild the index, which makes it again");
                return Err(Error::new(missing.kind(), message).with_source(missing));
            }
            if view.system.keeps(version)? || planted("renewal-ignores-the-horizon") {
                return Ok(view);
            }
            Err(no_longer_kept(&view, version).with_source(missing))
        })
    }
}
