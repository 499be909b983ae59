//! Pages of listings: asked for by name, checked for order, without names that are not ours.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Method;
use storage_core::{ErrorKind, Key, List, Listed, Page, Result};

use crate::classify::refused;
use crate::provider::{call, encode};
use crate::service::{Call, PageRequest, Place, RawPage, Service};

/// Lists one bucket, and remembers what its service turned out not to do.
#[derive(Debug, Default)]
pub(crate) struct Lister {
    /// The service begins every listing at the beginning (Azurite does).
    ignores_start: AtomicBool,
}

impl Lister {
    pub(crate) async fn list(&self, service: &dyn Service, request: List<'_>) -> Result<Page> {
        let place = service.place();
        let limit = request.limit.max(1);
        let spell = |rest: &str| place.names.spell(&place.prefix, rest);
        let prefix = spell(request.prefix.as_str());
        let start_after = request.start_after.map(|key| spell(key.as_str()));
        // A start before all of the prefix is no start. Some services take offence at one outside it.
        let start_after = start_after.as_deref().filter(|start| *start >= prefix.as_str());
        let mut walk = Walk { place, last: None, page: Page::default() };
        let mut token: Option<String> = None;
        loop {
            let skipping = start_after.is_some() && self.ignores_start.load(Ordering::Relaxed);
            let wanted = limit - walk.page.objects.len();
            let ask = PageRequest {
                prefix: &prefix,
                start_after: start_after.filter(|_| token.is_none()),
                token: token.as_deref(),
                limit: if skipping { place.page_keys_max } else { wanted.min(place.page_keys_max) },
            };
            let raw = fetch(service, &ask).await?;
            if let (Some(start), Some((first, _))) = (start_after, raw.objects.first())
                && token.is_none()
                && first.as_str() < start
            {
                self.ignores_start.store(true, Ordering::Relaxed);
            }
            let left_over = walk.take(raw.objects, &prefix, start_after, limit)?;
            if left_over || raw.token.is_none() || !walk.page.objects.is_empty() {
                walk.page.more =
                    !walk.page.objects.is_empty() && (left_over || raw.token.is_some());
                return Ok(walk.page);
            }
            if raw.token == token {
                return Err(refused(ErrorKind::Corrupt, "the listing does not move on"));
            }
            token = raw.token;
        }
    }
}

/// The state of a walk over the pages of one listing.
struct Walk<'a> {
    place: &'a Place,
    last: Option<String>,
    page: Page,
}

impl Walk<'_> {
    /// Takes what belongs into the answer; says whether something that belongs was left over.
    fn take(
        &mut self,
        objects: Vec<(String, u64)>,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<bool> {
        for (name, size) in objects {
            if !name.starts_with(prefix) {
                let message = format!("{name:?} is listed under the prefix {prefix:?}");
                return Err(refused(ErrorKind::Corrupt, message));
            }
            // What is no key is not ours: others may keep things in the bucket, too.
            let key = self.place.names.read(&self.place.prefix, &name).map(Key::new);
            let Some(Ok(key)) = key else { continue };
            if let Some(last) = &self.last
                && *last >= name
            {
                let message = format!("{name:?} is listed after {last:?}");
                return Err(refused(ErrorKind::Corrupt, message));
            }
            if start_after.is_none_or(|start| start < name.as_str()) {
                if self.page.objects.len() == limit {
                    return Ok(true);
                }
                self.page.objects.push(Listed { key, size });
            }
            self.last = Some(name);
        }
        Ok(false)
    }
}

/// Asks for one page.
pub(crate) async fn fetch(service: &dyn Service, page: &PageRequest<'_>) -> Result<RawPage> {
    let place = service.place();
    let mut url = format!("{}?", place.url);
    for (at, (name, value)) in service.list_query(page).into_iter().enumerate() {
        if at > 0 {
            url.push('&');
        }
        url.push_str(name);
        url.push('=');
        url.push_str(&encode(&value).replace('/', "%2F"));
    }
    let answer = call(service, Call::List, Method::GET, &url, Bytes::new()).await?;
    service.read_page(&answer.body).map_err(|problem| {
        let scheme = place.name.split(':').next().unwrap_or_default();
        let message = format!(
            "the answer is not a listing of an {scheme} service ({problem}); check {}",
            place.address
        );
        refused(ErrorKind::Misconfigured, message)
    })
}
