//! Policies of buckets: who may do what, in the JSON of AWS.
//!
//! What cannot be decided here is refused when the policy is put, and never passed over: so a statement that is kept
//! is a statement that counts.

mod condition;
mod read;

use crate::access::matches;
use crate::error::{Code, Error, Result};

use condition::Condition;
pub(crate) use condition::Values;

/// The most bytes of a policy, as in S3.
pub(crate) const POLICY_BYTES_MAX: usize = 20 << 10;

/// What a policy says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq)]
struct Statement {
    deny: bool,
    principals: Principals,
    /// It is about all but these.
    not_principals: bool,
    actions: Vec<String>,
    not_actions: bool,
    /// Patterns of `bucket` or `bucket/key`.
    resources: Vec<String>,
    not_resources: bool,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Principals {
    Everybody,
    /// These ids; programs of AWS are nobody here.
    Users(Vec<String>),
}

/// What somebody wants to do.
pub(crate) struct Ask<'a> {
    /// Nobody, without a key.
    pub(crate) user: Option<&'a str>,
    pub(crate) action: &'a str,
    /// `bucket` or `bucket/key`.
    pub(crate) resource: &'a str,
    pub(crate) values: &'a Values<'a>,
}

/// What a policy says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    /// Nothing.
    Silent,
}

impl Policy {
    /// Reads a policy for a bucket.
    ///
    /// # Errors
    ///
    /// [`Code::MalformedPolicy`], which says what is wrong.
    pub(crate) fn parse(text: &str, bucket: &str) -> Result<Self> {
        if text.len() > POLICY_BYTES_MAX {
            let why = format!("the policy has more than {POLICY_BYTES_MAX} bytes");
            return Err(Error::new(Code::MalformedPolicy, why));
        }
        read::policy(text, bucket)
    }

    /// A denial comes before all, and where nothing is said others decide.
    pub(crate) fn verdict(&self, ask: &Ask<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in self.statements.iter().filter(|statement| statement.is_about(ask)) {
            if statement.deny {
                return Verdict::Deny;
            }
            verdict = Verdict::Allow;
        }
        verdict
    }

    /// Whether there are conditions in it.
    pub(crate) fn has_conditions(&self) -> bool {
        self.statements.iter().any(|statement| !statement.conditions.is_empty())
    }

    /// Whether it lets everybody do something, whoever and wherever they are.
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            let everybody =
                statement.principals == Principals::Everybody || statement.not_principals;
            !statement.deny
                && everybody
                && !statement.conditions.iter().any(Condition::is_of_some_only)
        })
    }
}

impl Statement {
    fn is_about(&self, ask: &Ask<'_>) -> bool {
        let principal = match &self.principals {
            Principals::Everybody => true,
            Principals::Users(users) => {
                ask.user.is_some_and(|user| users.iter().any(|one| one == user))
            }
        };
        let action = self.actions.iter().any(|pattern| {
            let (pattern, action) = (pattern.to_ascii_lowercase(), ask.action.to_ascii_lowercase());
            matches(pattern.as_bytes(), action.as_bytes())
        });
        let resource = self
            .resources
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), ask.resource.as_bytes()));
        principal != self.not_principals
            && action != self.not_actions
            && resource != self.not_resources
            && self.conditions.iter().all(|condition| condition.holds(ask.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statement: &str) -> Result<Policy> {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{{{statement}}}]}}"#);
        Policy::parse(&text, "photos")
    }

    fn verdict(statement: &str, user: Option<&str>, action: &str, resource: &str) -> Verdict {
        let values = |key: &str| match key {
            "aws:referer" => vec!["http://example.org/a".to_owned()],
            "s3:prefix" => vec!["2024/".to_owned()],
            "aws:sourceip" => vec!["10.1.2.3".to_owned()],
            "aws:currenttime" => vec!["2026-01-01T00:00:00Z".to_owned()],
            "s3:max-keys" => vec!["10".to_owned()],
            "aws:securetransport" => vec!["false".to_owned()],
            "s3:existingobjecttag/kind" => vec!["public".to_owned()],
            _ => vec![],
        };
        let values: &Values<'_> = &values;
        policy(statement).unwrap().verdict(&Ask { user, action, resource, values })
    }

    #[test]
    fn statements_are_about_their_principals_actions_and_resources() {
        let cases = [
            (
                r#""Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*""#,
                true,
            ),
            (r#""Principal": {"AWS": "*"}, "Action": "*", "Resource": "*""#, true),
            (
                r#""Principal": {"AWS": ["arn:aws:iam:::user/bob"]}, "Action": ["s3:Get*"], "Resource": ["arn:aws:s3:::photos/a*"]"#,
                true,
            ),
            (
                r#""Principal": {"AWS": "arn:aws:iam::bob:root"}, "Action": "S3:getobject", "Resource": "arn:aws:s3:::*""#,
                true,
            ),
            (
                r#""Principal": {"AWS": "bob"}, "Action": "s3:*", "Resource": "arn:aws:s3:::photos/?bc""#,
                true,
            ),
            (
                r#""Principal": {"CanonicalUser": "bob"}, "NotAction": "s3:PutObject", "NotResource": "arn:aws:s3:::photos/b*""#,
                true,
            ),
            (
                r#""Principal": {"AWS": "alice"}, "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#,
                false,
            ),
            (
                r#""Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*""#,
                false,
            ),
            (
                r#""Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos""#,
                false,
            ),
            (
                r#""Principal": "*", "NotAction": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*""#,
                false,
            ),
            (
                r#""Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:*", "Resource": "*""#,
                false,
            ),
        ];
        for (statement, about) in cases {
            let allow = format!(r#""Effect": "Allow", {statement}"#);
            let expected = if about { Verdict::Allow } else { Verdict::Silent };
            let said = verdict(&allow, Some("bob"), "s3:GetObject", "photos/abc");
            assert_eq!(said, expected, "{statement}");
            let deny = format!(r#""Effect": "Deny", {statement}"#);
            let expected = if about { Verdict::Deny } else { Verdict::Silent };
            let said = verdict(&deny, Some("bob"), "s3:GetObject", "photos/abc");
            assert_eq!(said, expected, "{statement}");
        }
        let others =
            r#""Effect": "Deny", "NotPrincipal": {"AWS": "bob"}, "Action": "*", "Resource": "*""#;
        for (user, expected) in
            [(Some("bob"), Verdict::Silent), (Some("eve"), Verdict::Deny), (None, Verdict::Deny)]
        {
            assert_eq!(verdict(others, user, "s3:GetObject", "photos/abc"), expected, "{user:?}");
        }
    }

    #[test]
    fn conditions_hold_as_their_operators_say() {
        let cases = [
            (r#""StringLike": {"aws:Referer": "http://example.org/*"}"#, true),
            (r#""StringLike": {"aws:Referer": ["ftp:*", "http:*"]}"#, true),
            (r#""StringEquals": {"aws:Referer": "http://example.org/*"}"#, false),
            (r#""StringNotLike": {"aws:Referer": "http://example.org/*"}"#, false),
            (r#""StringEqualsIgnoreCase": {"s3:ExistingObjectTag/kind": "PUBLIC"}"#, true),
            (r#""StringEquals": {"s3:ExistingObjectTag/other": "public"}"#, false),
            (r#""StringNotEquals": {"s3:x-amz-acl": "private"}"#, true),
            (r#""StringEqualsIfExists": {"s3:x-amz-acl": "private"}"#, true),
            (r#""StringLikeIfExists": {"aws:Referer": "ftp:*"}"#, false),
            (r#""Null": {"s3:x-amz-acl": "true"}"#, true),
            (r#""Null": {"s3:prefix": "true"}"#, false),
            (r#""Null": {"s3:prefix": false}"#, true),
            (r#""NumericEquals": {"s3:prefix": 7}"#, false),
            (r#""NumericLessThanEquals": {"s3:max-keys": "10"}"#, true),
            (r#""NumericGreaterThan": {"s3:max-keys": 10}"#, false),
            (r#""DateGreaterThan": {"aws:CurrentTime": "2025-12-31T00:00:00Z"}"#, true),
            (r#""DateLessThan": {"aws:CurrentTime": "2025-12-31T00:00:00Z"}"#, false),
            (r#""Bool": {"aws:SecureTransport": "false"}"#, true),
            (r#""IpAddress": {"aws:SourceIp": "10.0.0.0/8"}"#, true),
            (r#""IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.1.2.3"]}"#, true),
            (r#""NotIpAddress": {"aws:SourceIp": "10.1.0.0/16"}"#, false),
            (r#""IpAddress": {"aws:SourceIp": "::/0"}"#, false),
            (r#""ForAnyValue:StringEquals": {"s3:prefix": ["a", "2024/"]}"#, true),
            (r#""ForAllValues:StringEquals": {"s3:x-amz-acl": "a"}"#, true),
            (
                r#""StringEquals": {"s3:prefix": "2024/"}, "Bool": {"aws:SecureTransport": "true"}"#,
                false,
            ),
        ];
        for (condition, holds) in cases {
            let statement = format!(
                r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {{{condition}}}"#
            );
            let expected = if holds { Verdict::Allow } else { Verdict::Silent };
            let said = verdict(&statement, None, "s3:GetObject", "photos/abc");
            assert_eq!(said, expected, "{condition}");
        }
    }

    #[test]
    fn what_would_not_count_is_refused_when_it_is_put() {
        let bad = [
            "",
            r#""Effect": "Maybe", "Principal": "*", "Action": "*", "Resource": "*""#,
            r#""Effect": "Allow", "Action": "*", "Resource": "*""#,
            r#""Effect": "Allow", "NotPrincipal": "*", "Action": "*", "Resource": "*""#,
            r#""Effect": "Allow", "Principal": "bob", "Action": "*", "Resource": "*""#,
            r#""Effect": "Allow", "Principal": {"Planet": "x"}, "Action": "*", "Resource": "*""#,
            r#""Effect": "Allow", "Principal": "*", "Resource": "*""#,
            r#""Effect": "Allow", "Principal": "*", "Action": "iam:GetUser", "Resource": "*""#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*""#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "photos""#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::films/*""#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Extra": 1"#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"Sounds": {"s3:prefix": "a"}}"#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"s3:moon": "a"}}"#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}}"#,
            r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"NumericEquals": {"s3:max-keys": "x"}}"#,
        ];
        for statement in bad {
            let refused = policy(statement).err().and_then(|error| error.code());
            assert_eq!(refused, Some(Code::MalformedPolicy), "{statement}");
        }
        for text in
            ["", "[]", r#"{"Statement": []}"#, r#"{"Version": "1999-01-01", "Statement": {}}"#]
        {
            let refused = Policy::parse(text, "photos").err().and_then(|error| error.code());
            assert_eq!(refused, Some(Code::MalformedPolicy), "{text}");
        }
    }

    #[test]
    fn a_policy_is_public_that_lets_in_everybody_from_everywhere() {
        let cases = [
            (r#""Effect": "Allow", "Principal": "*""#, "", true),
            (r#""Effect": "Deny", "Principal": "*""#, "", false),
            (r#""Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::t:root"}"#, "", false),
            (
                r#""Effect": "Allow", "Principal": "*""#,
                r#""IpAddress": {"aws:SourceIp": "10.0.0.0/32"}"#,
                false,
            ),
            (
                r#""Effect": "Allow", "Principal": "*""#,
                r#""IpAddress": {"aws:SourceIp": "0.0.0.0/0"}"#,
                true,
            ),
            (
                r#""Effect": "Allow", "Principal": "*""#,
                r#""StringLike": {"aws:Referer": "http://a/*"}"#,
                true,
            ),
        ];
        for (who, condition, public) in cases {
            let statement = format!(
                r#"{who}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", "Condition": {{{condition}}}"#
            );
            assert_eq!(policy(&statement).unwrap().is_public(), public, "{who} {condition}");
        }
    }
}
