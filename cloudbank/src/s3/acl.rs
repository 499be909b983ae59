//! Who may do what with a bucket or an object.

use http::Method;
use serde::Deserialize;

use super::client::{Client, Result};
use super::object::Name;

/// The lists of access that have names.
pub(crate) const CANNED: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "aws-exec-read",
];

/// Whose it is, and who else may do something.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct AccessList {
    pub(crate) owner: Grantee,
    access_control_list: Grants,
}

#[derive(Debug, Default, Deserialize)]
struct Grants {
    #[serde(default, rename = "Grant")]
    list: Vec<Grant>,
}

/// Somebody, and what they may do.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Grant {
    pub(crate) grantee: Grantee,
    pub(crate) permission: String,
}

/// A user or a group.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Grantee {
    #[serde(rename = "ID")]
    pub(crate) id: Option<String>,
    #[serde(rename = "DisplayName")]
    pub(crate) display_name: Option<String>,
    #[serde(rename = "URI")]
    pub(crate) uri: Option<String>,
    #[serde(rename = "EmailAddress")]
    pub(crate) email: Option<String>,
}

impl AccessList {
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.access_control_list.list
    }
}

impl Grantee {
    /// What it is called: a group by the end of its address.
    pub(crate) fn shown(&self) -> String {
        if let Some(uri) = &self.uri {
            let group = uri.rsplit('/').next().unwrap_or(uri);
            return match group {
                "AllUsers" => "everybody".into(),
                "AuthenticatedUsers" => "every user".into(),
                group => group.to_owned(),
            };
        }
        let name = self.display_name.as_ref().filter(|name| !name.is_empty());
        let name = name.or(self.id.as_ref()).or(self.email.as_ref());
        name.cloned().unwrap_or_else(|| "?".into())
    }
}

impl Client {
    /// The list of access of an object, or with an empty key that of a bucket.
    pub(crate) async fn acl(&self, name: &Name) -> Result<AccessList> {
        self.read(name.call(Method::GET).query("acl", "")).await
    }

    /// Gives it one of the [`CANNED`] lists.
    pub(crate) async fn set_acl(&self, name: &Name, canned: &str) -> Result<()> {
        let call = name.call(Method::PUT).query("acl", "").header("x-amz-acl", canned);
        self.text(call).await.map(drop)
    }
}
