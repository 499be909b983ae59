//! The settings of a bucket: versioning, CORS, tags and the like.

use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::action::Action;
use crate::op::caller::Caller;
use crate::op::{Core, Moment, View, put};
use crate::record::{Bucket, CorsRule};

/// The most rules that a bucket has for CORS.
pub(crate) const CORS_RULES_MAX: usize = 100;
/// The methods that CORS rules can be for.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

impl Core {
    /// A bucket, for somebody who may see so much of it.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn settings(
        &self,
        caller: &Caller,
        action: Action,
        name: &str,
        moment: Moment,
    ) -> Result<Bucket> {
        let bucket = self.open(name, moment).await?.bucket;
        caller.may(action, name, &bucket)?;
        Ok(bucket)
    }

    /// Changes a bucket, for somebody who may do that.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], those of `change`.
    pub(crate) async fn set(
        &self,
        caller: &Caller,
        action: Action,
        name: &str,
        change: &(dyn Fn(&mut Bucket) -> Result<()> + Sync),
    ) -> Result<()> {
        self.transact(move |transaction| async move {
            let mut bucket = View::Inside(&transaction).bucket(name).await?;
            caller.may(action, name, &bucket)?;
            change(&mut bucket)?;
            put(&transaction, &layout::bucket(name), &bucket)
        })
        .await
    }
}

/// # Errors
///
/// [`Code::InvalidRequest`], [`Code::MalformedXML`].
pub(crate) fn check_cors(rules: &[CorsRule]) -> Result<()> {
    if rules.is_empty() || rules.len() > CORS_RULES_MAX {
        return Err(Error::new(
            Code::MalformedXML,
            format!("from 1 to {CORS_RULES_MAX} rules are taken"),
        ));
    }
    let stars = |text: &String| text.bytes().filter(|byte| *byte == b'*').count();
    for rule in rules {
        if rule.origins.is_empty() || rule.methods.is_empty() {
            return Err(Error::new(Code::MalformedXML, "a rule needs an origin and a method"));
        }
        if let Some(method) = rule.methods.iter().find(|method| !METHODS.contains(&&method[..])) {
            let why = format!("{method:?} is no method that a rule can be for");
            return Err(Error::new(Code::InvalidRequest, why));
        }
        if rule.origins.iter().chain(&rule.headers).any(|text| stars(text) > 1) {
            let why = "an origin or a header can have one * at most";
            return Err(Error::new(Code::InvalidRequest, why));
        }
    }
    Ok(())
}

/// The rule that lets a page of `origin` do `method` with these headers, if there is one.
pub(crate) fn cors_rule<'a>(
    rules: &'a [CorsRule],
    origin: &str,
    method: &str,
    headers: &[String],
) -> Option<&'a CorsRule> {
    let matches = |pattern: &String, text: &str| {
        // A star is the only thing of a pattern here.
        match pattern.split_once('*') {
            Some((before, after)) => {
                text.len() >= before.len() + after.len()
                    && text.starts_with(before)
                    && text.ends_with(after)
            }
            None => pattern == text,
        }
    };
    let lower = |text: &String| text.to_ascii_lowercase();
    rules.iter().find(|rule| {
        let allowed: Vec<String> = rule.headers.iter().map(lower).collect();
        rule.origins.iter().any(|pattern| matches(pattern, origin))
            && rule.methods.iter().any(|allowed| allowed == method)
            && headers
                .iter()
                .all(|header| allowed.iter().any(|pattern| matches(pattern, &lower(header))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str, method: &str, header: &str) -> CorsRule {
        CorsRule {
            origins: vec![origin.to_owned()],
            methods: vec![method.to_owned()],
            headers: vec![header.to_owned()],
            ..CorsRule::default()
        }
    }

    #[test]
    fn a_rule_is_for_its_origins_methods_and_headers() {
        let rules = [rule("https://*.example.org", "PUT", "X-Amz-*"), rule("*", "GET", "")];
        let cases = [
            ("https://a.example.org", "PUT", vec!["x-amz-date"], Some(0)),
            ("https://a.example.org", "PUT", vec!["X-AMZ-DATE", "range"], None),
            ("https://example.org", "PUT", vec![], None),
            ("https://.example.org", "PUT", vec![], Some(0)),
            ("null", "GET", vec![], Some(1)),
            ("null", "GET", vec!["range"], None),
            ("null", "DELETE", vec![], None),
        ];
        for (origin, method, headers, expected) in cases {
            let headers: Vec<String> = headers.into_iter().map(str::to_owned).collect();
            let found = cors_rule(&rules, origin, method, &headers);
            let expected: Option<&CorsRule> = expected.map(|at: usize| &rules[at]);
            assert_eq!(found, expected, "{origin} {method} {headers:?}");
        }
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        assert!(check_cors(&[rule("*", "GET", "*")]).is_ok());
        let cases = [
            (vec![], Code::MalformedXML),
            (vec![CorsRule::default()], Code::MalformedXML),
            (vec![rule("*", "PATCH", "")], Code::InvalidRequest),
            (vec![rule("*.*", "GET", "")], Code::InvalidRequest),
            (vec![rule("*", "GET", ""); CORS_RULES_MAX + 1], Code::MalformedXML),
        ];
        for (rules, code) in cases {
            assert_eq!(check_cors(&rules).unwrap_err().code(), Some(code));
        }
    }
}
