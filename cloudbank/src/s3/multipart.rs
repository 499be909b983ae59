//! Objects that are put in parts, and what is left when that is interrupted: nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use http::Method;
use serde::Deserialize;
use storage_core::Effect;

use super::checksum::{Algorithm, etag_of_parts};
use super::client::{Call, Client, Result};
use super::object::{About, Name, source};
use super::xml::escaped;

/// How many parts an upload has at most.
pub(crate) const PARTS_MAX: u64 = 10_000;
/// How small a part may be that is not the last.
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
/// How large a copy in one request may be, and a part of one.
pub(crate) const COPY_BYTES_MAX: u64 = 5 << 30;

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Upload {
    pub(crate) name: Name,
    pub(crate) id: String,
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) etag: String,
    pub(crate) checksum: Option<(Algorithm, String)>,
}

/// The uploads under way, to be given up when all is interrupted.
#[derive(Debug, Default)]
pub(crate) struct Begun(Mutex<BTreeSet<Upload>>);

impl Begun {
    pub(crate) fn note(&self, upload: &Upload) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(upload.clone());
    }

    pub(crate) fn forget(&self, upload: &Upload) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(upload);
    }

    pub(crate) fn take(&self) -> BTreeSet<Upload> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    upload_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: String,
}

impl Client {
    /// Begins an upload.
    pub(crate) async fn begin(
        &self,
        name: &Name,
        about: &About,
        checksum: Option<Algorithm>,
    ) -> Result<Upload> {
        let mut call = about.apply(name.call(Method::POST).query("uploads", ""));
        if let Some(algorithm) = checksum {
            call = call
                .header("x-amz-checksum-algorithm", algorithm.name())
                .header("x-amz-checksum-type", "FULL_OBJECT");
        }
        let begun: Initiated = self.read(call).await?;
        Ok(Upload { name: name.clone(), id: begun.upload_id })
    }

    /// The request that puts a part.
    pub(crate) fn part(upload: &Upload, number: u64) -> Call {
        let call = upload.name.call(Method::PUT);
        call.query("partNumber", number).query("uploadId", &upload.id)
    }

    /// Makes a part of bytes that are there already.
    pub(crate) async fn copy_part(
        &self,
        upload: &Upload,
        number: u64,
        (from, etag): (&Name, &str),
        (start, length): (u64, u64),
    ) -> Result<Part> {
        let mut call = Self::part(upload, number)
            .header("x-amz-copy-source", source(from))
            .header("x-amz-copy-source-range", format!("bytes={start}-{}", start + length - 1));
        if !etag.is_empty() {
            call = call.header("x-amz-copy-source-if-match", etag);
        }
        call.work_bytes = length;
        let copied: Completed = self.read(call).await?;
        Ok(Part { number, etag: copied.etag, checksum: None })
    }

    /// Makes an object of the parts; its ETag.
    ///
    /// # Errors
    ///
    /// With an unknown effect when the answer was lost and it cannot be found out what came of it.
    pub(crate) async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        checksum: Option<(Algorithm, String)>,
        if_absent: bool,
    ) -> Result<String> {
        let list: String = parts
            .iter()
            .map(|part| {
                let sum = part.checksum.as_ref().map(|(algorithm, sum)| {
                    let name = algorithm.name();
                    format!("<Checksum{name}>{sum}</Checksum{name}>")
                });
                format!(
                    "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>{}</Part>",
                    part.number,
                    escaped(&part.etag),
                    sum.unwrap_or_default()
                )
            })
            .collect();
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{list}</CompleteMultipartUpload>"
        );
        let name = &upload.name;
        let mut call = name.call(Method::POST).query("uploadId", &upload.id).body(body);
        if let Some((algorithm, sum)) = checksum {
            call =
                call.header(&algorithm.header(), sum).header("x-amz-checksum-type", "FULL_OBJECT");
        }
        if if_absent {
            call = call.header("if-none-match", "*");
        }
        match self.read::<Completed>(call).await {
            Ok(completed) => Ok(completed.etag),
            // Its answer was lost, and so is the upload: it may well be that it is an object by now.
            Err(failure) if failure.effect == Effect::Unknown => {
                let etags: Vec<_> = parts.iter().map(|part| part.etag.clone()).collect();
                let expected = etag_of_parts(&etags);
                match self.head(name).await {
                    Ok(head) if Some(&head.etag) == expected.as_ref() => Ok(head.etag),
                    _ => Err(failure),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Gives an upload up, so that nothing is kept of it.
    pub(crate) async fn abort(&self, upload: &Upload) -> Result<()> {
        let call = upload.name.call(Method::DELETE).query("uploadId", &upload.id);
        match self.text(call).await {
            Err(failure) if failure.is_not_found() => Ok(()),
            done => done.map(drop),
        }
    }
}
