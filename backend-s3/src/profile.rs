//! The files of the AWS command line, as far as they hold keys:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use backend_object_store::misconfigured;
use storage_core::{Result, Secret};

use crate::key_source::ProfileSettings;

/// What a profile may say instead of keys, none of which is understood here.
const NOT_UNDERSTOOD: [&str; 6] = [
    "credential_process",
    "sso_session",
    "sso_start_url",
    "role_arn",
    "source_profile",
    "login_session",
];

/// Keys and region of a profile.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    pub(crate) session_token: Option<Secret>,
    pub(crate) region: Option<String>,
}

/// Where the two files are.
#[derive(Debug)]
pub(crate) struct Files {
    credentials: PathBuf,
    config: PathBuf,
}

impl Files {
    /// Those given, or else those that the AWS command line would read.
    pub(crate) fn new(credentials: Option<&PathBuf>, config: Option<&PathBuf>) -> Self {
        let usual = |variable: &str, name: &str| {
            env::var_os(variable).map_or_else(
                || env::home_dir().unwrap_or_default().join(".aws").join(name),
                PathBuf::from,
            )
        };
        Self {
            credentials: credentials
                .cloned()
                .unwrap_or_else(|| usual("AWS_SHARED_CREDENTIALS_FILE", "credentials")),
            config: config.cloned().unwrap_or_else(|| usual("AWS_CONFIG_FILE", "config")),
        }
    }

    /// The profile of this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](storage_core::ErrorKind::Misconfigured) naming `profile` and the
    /// file.
    pub(crate) fn profile(&self, name: &str) -> Result<Profile> {
        self.find(name)?.ok_or_else(|| {
            misconfigured(format!(
                "`profile` is \"{name}\", but neither {} nor {} has one of that name",
                self.credentials.display(),
                self.config.display()
            ))
        })
    }

    /// The profile of this name, if there is one with keys.
    ///
    /// # Errors
    ///
    /// As [`profile`](Self::profile), for one that is there but of no use.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Profile>> {
        let Some(mut values) = self.values(name)? else { return Ok(None) };
        let mut take = |key: &str| values.remove(key).filter(|value| !value.is_empty());
        let keys = (take("aws_access_key_id"), take("aws_secret_access_key"));
        let (Some(access_key_id), Some(secret)) = keys else {
            let instead = NOT_UNDERSTOOD.iter().find(|key| values.contains_key(**key));
            return Err(misconfigured(match instead {
                Some(key) => format!(
                    "`profile` \"{name}\" gets its credentials by `{key}`, which is not understood \
                     here; export them into the environment and use `credentials = \"chain\"`"
                ),
                None => format!(
                    "`profile` \"{name}\" has no aws_access_key_id and aws_secret_access_key in {}",
                    self.credentials.display()
                ),
            }));
        };
        Ok(Some(Profile {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: take("aws_session_token").map(Secret::new),
            region: take("region"),
        }))
    }

    /// What a profile says besides keys, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](storage_core::ErrorKind::Misconfigured) for a file that cannot be read.
    pub(crate) fn settings(&self, name: &str) -> Result<Option<ProfileSettings>> {
        let Some(values) = self.values(name)? else { return Ok(None) };
        let get = |key: &str| values.get(key).filter(|value| !value.is_empty()).cloned();
        // Endpoints of single services are in a section of their own.
        let services = match get("services") {
            Some(services) => read_section(&self.config, &[format!("services {services}")])?,
            None => None,
        };
        let of_s3 = services.and_then(|mut services| services.remove("s3.endpoint_url"));
        let has_keys = get("aws_access_key_id").is_some()
            || NOT_UNDERSTOOD.iter().any(|key| values.contains_key(*key));
        Ok(Some(ProfileSettings {
            region: get("region"),
            endpoint_url: of_s3.or_else(|| get("endpoint_url")),
            addressing_style: get("s3.addressing_style"),
            ca_bundle: get("ca_bundle").map(PathBuf::from),
            has_keys,
        }))
    }

    /// All that the two files say of a profile.
    fn values(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let mut values = BTreeMap::new();
        let mut found = false;
        // The credentials file wins, so it is read last.
        for (file, headings) in [
            (&self.config, [format!("profile {name}"), "default".into()]),
            (&self.credentials, [name.into(), name.into()]),
        ] {
            let headings = &headings[..if name == "default" { 2 } else { 1 }];
            if let Some(section) = read_section(file, headings)? {
                found = true;
                values.extend(section);
            }
        }
        Ok(found.then_some(values))
    }
}

/// The settings under the first of these headings that the file has.
fn read_section(file: &Path, headings: &[String]) -> Result<Option<BTreeMap<String, String>>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("`profile` needs {}, which cannot be read", file.display());
            return Err(misconfigured(message).with_source(error));
        }
    };
    Ok(headings.iter().find_map(|heading| section(&text, heading)))
}

/// The settings under a heading. Those indented below another, as in `s3 =`, have its name before theirs: `s3.region`.
fn section(text: &str, heading: &str) -> Option<BTreeMap<String, String>> {
    let mut values = None;
    let mut inside = false;
    let mut outer = String::new();
    for line in text.lines() {
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let words: Vec<&str> = name.split_whitespace().collect();
            inside = words.join(" ").replace('"', "") == heading;
            if inside {
                values.get_or_insert_with(BTreeMap::new);
            }
        } else if inside
            && let (Some(values), Some((key, value))) = (values.as_mut(), line.split_once('='))
        {
            let value = value.split(" #").next().unwrap_or_default();
            let mut key = key.trim().to_ascii_lowercase();
            if indented {
                key = format!("{outer}.{key}");
            } else {
                outer.clone_from(&key);
            }
            values.insert(key, value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(credentials: &str, config: &str) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("credentials"), folder.path().join("config"));
        fs::write(&a, credentials).unwrap();
        fs::write(&b, config).unwrap();
        let files = Files::new(Some(&a), Some(&b));
        (folder, files)
    }

    #[test]
    fn a_profile_has_its_keys_from_one_file_and_its_region_from_the_other() {
        let (_folder, files) = files(
            "# a comment\n[default]\naws_access_key_id = D\naws_secret_access_key = d\n\
             [ work ]\naws_access_key_id=W\nAWS_SECRET_ACCESS_KEY =  w=w/+ \naws_session_token = t\n",
            "[default]\nregion = us-west-2\n[profile work]\nregion = eu-north-1 # cold\ns3 =\n  region = no\n",
        );
        let work = files.profile("work").unwrap();
        assert_eq!(work.access_key_id, "W");
        assert_eq!(work.secret_access_key.reveal(), "w=w/+");
        assert_eq!(work.session_token.unwrap().reveal(), "t");
        assert_eq!(work.region.unwrap(), "eu-north-1");
        let default = files.profile("default").unwrap();
        assert_eq!(
            (default.access_key_id.as_str(), default.region.as_deref()),
            ("D", Some("us-west-2"))
        );
        assert!(default.session_token.is_none());
    }

    #[test]
    fn a_profile_has_settings_besides_keys() {
        let (_folder, files) = files(
            "[work]\naws_access_key_id = W\naws_secret_access_key = w\n",
            "[profile work]\nregion = eu-north-1\nendpoint_url = http://all\nca_bundle = /ca.pem\n\
             s3 =\n  addressing_style = path\n  endpoint_url = no\nservices = mine\n\
             [services mine]\nec2 =\n  endpoint_url = http://ec2\ns3 =\n  endpoint_url = http://s3\n\
             [profile plain]\nendpoint_url = http://all\n",
        );
        let work = files.settings("work").unwrap().unwrap();
        assert_eq!(work.endpoint_url.as_deref(), Some("http://s3"));
        assert_eq!(work.addressing_style.as_deref(), Some("path"));
        assert_eq!(work.region.as_deref(), Some("eu-north-1"));
        assert!(work.has_keys && work.ca_bundle.is_some());
        let plain = files.settings("plain").unwrap().unwrap();
        assert_eq!(plain.endpoint_url.as_deref(), Some("http://all"));
        assert!(!plain.has_keys);
        assert_eq!(files.settings("none").unwrap(), None);
    }

    #[test]
    fn a_profile_without_keys_says_what_is_missing() {
        let (_folder, files) = files(
            "[half]\naws_access_key_id = H\n",
            "[profile sso]\nsso_session = corp\n[profile half]\nregion = x\n",
        );
        for (name, expected) in [
            ("sso", "gets its credentials by `sso_session`"),
            ("half", "has no aws_access_key_id and aws_secret_access_key in"),
            ("none", "neither"),
        ] {
            let error = files.profile(name).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("`profile`"), "{name}: {error}");
        }
        assert!(files.find("none").unwrap().is_none());
    }
}
