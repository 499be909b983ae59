//! Policies as they are written, in JSON.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::{Policy, Principals, Statement};
use crate::access::matches;
use crate::error::{Code, Error, Result};

/// What names of S3's resources begin with.
const ARN: &str = "arn:aws:s3:";
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

pub(super) fn malformed(why: impl Into<String>) -> Error {
    Error::new(Code::MalformedPolicy, why)
}

pub(super) fn policy(text: &str, bucket: &str) -> Result<Policy> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| malformed(format!("the policy is no JSON: {error}")))?;
    let policy = object(&value, "the policy")?;
    only(policy, &["Version", "Id", "Statement"], "the policy")?;
    if let Some(version) = policy.get("Version")
        && !version.as_str().is_some_and(|version| VERSIONS.contains(&version))
    {
        return Err(malformed(format!("Version is {version}, and not {}", VERSIONS[0])));
    }
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => vec![],
    };
    if statements.is_empty() {
        return Err(malformed("the policy has no Statement"));
    }
    let statements = statements.into_iter().map(|value| statement(value, bucket));
    Ok(Policy { statements: statements.collect::<Result<_>>()? })
}

fn statement(value: &Value, bucket: &str) -> Result<Statement> {
    const NAMES: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    let statement = object(value, "a Statement")?;
    only(statement, &NAMES, "a Statement")?;
    let deny = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => false,
        Some("Deny") => true,
        _ => return Err(malformed("Effect is neither Allow nor Deny")),
    };
    let (who, not_principals) = either(statement, "Principal", "NotPrincipal")?;
    if not_principals && !deny {
        return Err(malformed("NotPrincipal can be denied something only"));
    }
    let (what, not_actions) = either(statement, "Action", "NotAction")?;
    let actions = texts(what, "Action")?;
    let known = |action: &String| {
        action == "*" || action.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("s3:"))
    };
    if let Some(action) = actions.iter().find(|action| !known(action)) {
        return Err(malformed(format!("Action {action:?} is none of S3")));
    }
    let (which, not_resources) = either(statement, "Resource", "NotResource")?;
    let resources = texts(which, "Resource")?;
    let resources = resources.iter().map(|text| resource(text, bucket)).collect::<Result<_>>()?;
    let mut conditions = Vec::new();
    if let Some(all) = statement.get("Condition") {
        for (operator, tests) in object(all, "Condition")? {
            for (key, values) in object(tests, operator)? {
                conditions.push(Condition::read(operator, key, &texts(values, key)?)?);
            }
        }
    }
    Ok(Statement {
        deny,
        principals: principals(who)?,
        not_principals,
        actions,
        not_actions,
        resources,
        not_resources,
        conditions,
    })
}

/// A pattern without what all resources begin with.
fn resource(text: &str, bucket: &str) -> Result<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    // A region and an account stand between, which buckets do not have; a tenant of other servers may.
    let pattern = text.strip_prefix(ARN).and_then(|rest| rest.splitn(3, ':').nth(2));
    let pattern = pattern.filter(|pattern| {
        let name = pattern.split('/').next().unwrap_or_default();
        matches(name.as_bytes(), bucket.as_bytes())
    });
    let wrong = || malformed(format!("Resource {text:?} is none of the bucket {bucket:?}"));
    pattern.map(str::to_owned).ok_or_else(wrong)
}

fn principals(value: &Value) -> Result<Principals> {
    if value == "*" {
        return Ok(Principals::Everybody);
    }
    let mut users = Vec::new();
    for (kind, names) in object(value, "Principal")? {
        let names = texts(names, "Principal")?;
        match &kind[..] {
            "AWS" if names.iter().any(|name| name == "*") => return Ok(Principals::Everybody),
            "AWS" => users.extend(names.iter().map(|name| user(name))),
            "CanonicalUser" => users.extend(names),
            // They are nobody here.
            "Service" | "Federated" => {}
            _ => return Err(malformed(format!("Principal {kind:?} is not known"))),
        }
    }
    Ok(Principals::Users(users))
}

/// The id of a user, as such or in `arn:aws:iam::account:user/id` and `arn:aws:iam::id:root`.
fn user(name: &str) -> String {
    let Some(rest) = name.strip_prefix("arn:aws:iam::") else { return name.to_owned() };
    match rest.split_once(':') {
        Some((account, "root")) => account.to_owned(),
        Some((_, who)) => who.strip_prefix("user/").unwrap_or(who).to_owned(),
        None => rest.to_owned(),
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| malformed(format!("{what} is no object")))
}

fn only(object: &Map<String, Value>, names: &[&str], what: &str) -> Result<()> {
    match object.keys().find(|name| !names.contains(&&name[..])) {
        Some(name) => Err(malformed(format!("{what} has {name:?}, which is not known"))),
        None => Ok(()),
    }
}

fn either<'a>(object: &'a Map<String, Value>, is: &str, not: &str) -> Result<(&'a Value, bool)> {
    match (object.get(is), object.get(not)) {
        (Some(value), None) => Ok((value, false)),
        (None, Some(value)) => Ok((value, true)),
        _ => Err(malformed(format!("a Statement needs {is} or {not}, and not both"))),
    }
}

/// A text, or several; numbers and booleans count as what they look like.
fn texts(value: &Value, what: &str) -> Result<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(malformed(format!("{what} has a value that is no text"))),
    };
    match value {
        Value::Array(values) if values.is_empty() => Err(malformed(format!("{what} is empty"))),
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}
