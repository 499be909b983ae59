//! Making and removing the bucket itself, which `object_store` has no call for.

use bytes::Bytes;
use http::Method;
use storage_core::{ErrorKind, Result};

use crate::classify::refused;
use crate::page::fetch;
use crate::provider::call;
use crate::service::{Call, PageRequest, Service};

/// Creates the bucket.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when it exists already, whoever owns it, and the kinds any operation can
/// have.
pub async fn create(service: &dyn Service) -> Result<()> {
    let place = service.place();
    // Some services answer "created" to the owner of a bucket that exists.
    match fetch(service, &first_name()).await {
        Ok(_) => {
            let message = format!("{} exists already", place.name);
            return Err(refused(ErrorKind::Conflict, message));
        }
        Err(error) if error.kind() == ErrorKind::Misconfigured => {}
        Err(error) => return Err(error),
    }
    let (query, body) = service.create_request();
    let url = format!("{}{query}", place.url);
    call(service, Call::Create, Method::PUT, &url, body).await.map(drop)
}

/// Deletes the bucket, which has to be empty: of what others keep in it, too.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when it is not empty, [`ErrorKind::Misconfigured`] when there is none, and
/// the kinds any operation can have.
pub async fn destroy(service: &dyn Service) -> Result<()> {
    let place = service.place();
    if let Some((name, _)) = fetch(service, &first_name()).await?.objects.first() {
        let message =
            format!("{} is not empty: it holds {name:?}; delete its objects first", place.name);
        return Err(refused(ErrorKind::Conflict, message));
    }
    let url = format!("{}{}", place.url, service.destroy_query());
    call(service, Call::Destroy, Method::DELETE, &url, Bytes::new()).await.map(drop)
}

fn first_name() -> PageRequest<'static> {
    PageRequest { prefix: "", start_after: None, token: None, limit: 1 }
}
