//! Tags of objects, and what tags can be.

use crate::error::{Code, Error, Result};
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::object::{Slot, Which};
use crate::op::{Core, Moment, View};
use crate::record::{Object, Pair};

/// The most tags that an object has.
pub(crate) const OBJECT_TAGS_MAX: usize = 10;
/// The most tags that a bucket has.
pub(crate) const BUCKET_TAGS_MAX: usize = 50;

impl Core {
    /// An object with its tags.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], those of [`View::existing`], [`Code::AccessDenied`].
    pub(crate) async fn object_tags(
        &self,
        caller: &Caller,
        (name, key, moment): (&str, &str, Moment),
        which: &Which,
    ) -> Result<Object> {
        let opened = self.open(name, moment).await?;
        let found = View::At(&opened.snapshot).existing(name, key, which).await;
        let object = found.map_err(|error| caller.missing((name, key), &opened.bucket, error))?;
        caller.may_key(action::GET_TAGS, (name, key), &opened.bucket, Some(&object))?;
        Ok(object)
    }

    /// Gives an object tags, in place of those it has.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], those of [`View::existing`], [`Code::AccessDenied`].
    pub(crate) async fn set_object_tags(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        which: &Which,
        tags: &[Pair],
    ) -> Result<Object> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            let found = view.existing(name, key, which).await;
            let mut object = found.map_err(|error| caller.missing((name, key), &bucket, error))?;
            let action = if tags.is_empty() { action::DELETE_TAGS } else { action::PUT_TAGS };
            caller.may_key(action, (name, key), &bucket, Some(&object))?;
            object.tags = tags.to_vec();
            Slot { transaction: &transaction, bucket: name, key }.rewrite(&object).await?;
            Ok(object)
        })
        .await
    }
}

/// Tags as they stand in a header, like a query.
pub(crate) fn parse_tags(header: &str) -> Vec<Pair> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Pair { name: decoded(name), value: decoded(value) }
        })
        .collect()
}

/// # Errors
///
/// [`Code::InvalidTag`].
pub(crate) fn check_tags(tags: &[Pair], max: usize) -> Result<()> {
    let invalid = |why: String| Err(Error::new(Code::InvalidTag, why));
    if tags.len() > max {
        return invalid(format!("there are {} tags, more than {max}", tags.len()));
    }
    for (at, tag) in tags.iter().enumerate() {
        if tag.name.is_empty() || tag.name.chars().count() > 128 {
            return invalid(format!("the name of tag {} is not of 1 to 128 characters", at + 1));
        }
        if tag.value.chars().count() > 256 {
            return invalid(format!(
                "the value of tag {:?} has more than 256 characters",
                tag.name
            ));
        }
        if tags[..at].iter().any(|before| before.name == tag.name) {
            return invalid(format!("there are two tags {:?}", tag.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_few_and_short_and_each_is_there_once() {
        let tag = |name: &str, value: &str| Pair { name: name.to_owned(), value: value.to_owned() };
        let many: Vec<Pair> = (0..11).map(|at| tag(&at.to_string(), "")).collect();
        let cases = [
            (vec![], true),
            (vec![tag("a", ""), tag("b", &"é".repeat(256))], true),
            (many[..10].to_vec(), true),
            (many.clone(), false),
            (vec![tag("", "x")], false),
            (vec![tag(&"k".repeat(129), "x")], false),
            (vec![tag("k", &"x".repeat(257))], false),
            (vec![tag("k", "1"), tag("k", "2")], false),
        ];
        for (tags, expected) in cases {
            assert_eq!(check_tags(&tags, OBJECT_TAGS_MAX).is_ok(), expected, "{tags:?}");
        }
    }
}
