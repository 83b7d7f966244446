//! `neena.toml`: its values become the defaults of the options.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

/// The file that is read when none is named.
const DEFAULT: &str = "neena.toml";

/// Why the settings file cannot be used: one line, with the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file that was asked for is not there, or not readable.
    #[error("{}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// It is not TOML.
    #[error("{}: {reason}", .path.display())]
    Malformed { path: PathBuf, reason: String },
    /// No option has this key.
    #[error("{}: unknown key `{key}`{}", .path.display(), hint(.nearest))]
    UnknownKey {
        path: PathBuf,
        key: String,
        nearest: Option<String>,
    },
    /// The option does not take this value.
    #[error("{}: `{key}`: {reason}", .path.display())]
    BadValue {
        path: PathBuf,
        key: String,
        reason: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|key| format!(" (did you mean `{key}`?)"))
        .unwrap_or_default()
}

/// The file that the flags name, otherwise the one that `variable` does, before anything else of them is judged.
pub fn chosen(args: &[OsString], variable: Option<OsString>) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") => break,
            Some("--config") => return args.next().map(PathBuf::from),
            Some(arg) => {
                if let Some(file) = arg.strip_prefix("--config=") {
                    return Some(PathBuf::from(file));
                }
            }
            None => {}
        }
    }
    variable.filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// `command` with the file's values as defaults. Without a chosen file, the one of the current
/// directory is used if it is there.
pub fn apply(command: Command, chosen: Option<PathBuf>) -> Result<Command, FileError> {
    let path = chosen.clone().unwrap_or_else(|| PathBuf::from(DEFAULT));
    match std::fs::read_to_string(&path) {
        Ok(text) => with_defaults(command, &path, &text),
        Err(error) if chosen.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(command)
        }
        Err(error) => Err(FileError::Unreadable {
            path,
            reason: error.to_string(),
        }),
    }
}

/// `command` with the values of `text` as defaults.
pub fn with_defaults(command: Command, path: &Path, text: &str) -> Result<Command, FileError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| FileError::Malformed {
        path: path.to_owned(),
        reason: located(text, &error),
    })?;
    let known = settings(&command);
    let mut defaults = BTreeMap::new();
    for (key, value) in &table {
        let Some(arg) = known.get(key) else {
            let nearest = nearest(key, known.keys());
            return Err(FileError::UnknownKey {
                path: path.to_owned(),
                key: key.clone(),
                nearest,
            });
        };
        let bad = |reason| FileError::BadValue {
            path: path.to_owned(),
            key: key.clone(),
            reason,
        };
        let texts = texts(value).map_err(bad)?;
        check(arg, &texts).map_err(bad)?;
        defaults.insert(key.clone(), texts);
    }
    Ok(set(command, &defaults))
}

/// Every setting of the program: key of the file → the option (the first that has it).
pub fn settings(command: &Command) -> BTreeMap<String, Arg> {
    let mut known = BTreeMap::new();
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        for arg in command.get_arguments() {
            if let Some(key) = key(arg) {
                known.entry(key).or_insert_with(|| arg.clone());
            }
        }
        left.extend(command.get_subcommands());
    }
    known
}

/// The option's key in the file: its environment variable in lower case, without the prefix.
fn key(arg: &Arg) -> Option<String> {
    let key = arg
        .get_env()?
        .to_str()?
        .strip_prefix("NEENA_")?
        .to_lowercase();
    // A settings file does not name another one.
    (key != "config").then_some(key)
}

/// Sets the defaults on every command that has the option.
fn set(mut command: Command, defaults: &BTreeMap<String, Vec<String>>) -> Command {
    let ids: Vec<(String, Vec<String>)> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().to_string(), defaults.get(&key(arg)?)?.clone())))
        .collect();
    for (id, values) in ids {
        command = command.mut_arg(id, |arg| {
            let secret = arg.is_hide_env_values_set();
            let arg = arg.default_values(values);
            if secret {
                arg.hide_default_value(true)
            } else {
                arg
            }
        });
    }
    command.mut_subcommands(|sub| set(sub, defaults))
}

/// A value of the file as the words a flag would be given.
fn texts(value: &toml::Value) -> Result<Vec<String>, String> {
    match value {
        toml::Value::String(text) => Ok(vec![text.clone()]),
        toml::Value::Integer(number) => Ok(vec![number.to_string()]),
        toml::Value::Float(number) => Ok(vec![number.to_string()]),
        toml::Value::Boolean(flag) => Ok(vec![flag.to_string()]),
        toml::Value::Array(items) => items.iter().map(text).collect(),
        other => Err(format!("a {} is no value of a setting", other.type_str())),
    }
}

fn text(item: &toml::Value) -> Result<String, String> {
    match item {
        toml::Value::String(text) => Ok(text.clone()),
        other => Err(format!("a list holds texts, not a {}", other.type_str())),
    }
}

/// Whether the option takes these values: asked of clap itself, on a command that has only it.
fn check(arg: &Arg, values: &[String]) -> Result<(), String> {
    if values.len() != 1 && !matches!(arg.get_action(), ArgAction::Append) {
        return Err("it takes one value, not a list".to_owned());
    }
    let probe = Command::new("probe").arg(match arg.get_action() {
        ArgAction::SetTrue => Arg::new("value")
            .value_parser(arg.get_value_parser().clone())
            .long("value"),
        _ => arg.clone().id("value").long("value"),
    });
    let words = values.iter().map(|value| format!("--value={value}"));
    match probe.try_get_matches_from(std::iter::once("probe".to_owned()).chain(words)) {
        Ok(_) => Ok(()),
        Err(error) => Err(first_line(&error.to_string())),
    }
}

/// clap's message without its prefix, the flag and the usage below it.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match (line.find(" for '--"), line.split_once("': ")) {
        (Some(at), Some((_, reason))) => format!("{}: {reason}", &line[..at]),
        (Some(at), None) => line[..at].to_owned(),
        _ => line.to_owned(),
    }
}

/// A TOML error in one line, with its place.
fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error
        .message()
        .lines()
        .next()
        .unwrap_or("is not TOML")
        .to_owned();
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// The known key most like `key`, if one is alike at all.
fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = plain(key);
    let wanted = wanted.strip_prefix("neena").unwrap_or(&wanted);
    known
        .map(|known| (distance(wanted, &plain(known)), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known.clone())
}

/// Edits between two short words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
