//! Reads unpacked user data line by line, for the few forms that name a cluster.

use std::collections::HashMap;

use super::{
    assignment::{Assignment, ConfiguredCluster},
    destination::{Destination, is_other_file},
    here_document::{HereDocument, without_comments},
    sed::{edit, is_in_place},
    tokens::{Token, VARIABLE, begins_command, is_first, tokens},
    unpack::{LINE, MAX_UNPACKED, TOKEN, Unpacked, after_prefix},
    values::{END, arguments, ends_with, expression, formatted, set_value, value, without_gap},
    variables::{ScriptScope, Variables},
};

/// Bottlerocket's setting of the cluster.
const SETTING: &str = "settings.ecs.cluster";

/// The command that sets the ECS agent's cluster on Windows.
const COMMAND: &str = "Initialize-ECSAgent";

/// Finds the cluster in unpacked user data.
pub(super) fn read(unpacked: &Unpacked) -> ConfiguredCluster {
    let lower = unpacked.text.to_ascii_lowercase();
    let is_powershell = ["<powershell>", "type: powershell", "initialize-ecsagent"].iter().any(|it| lower.contains(it));
    let mut reader = Reader {
        variables: Variables::new(is_powershell),
        may_be_fetched: unpacked.is_cut,
        remaining: Some(MAX_UNPACKED),
        ..Reader::default()
    };
    reader.text(&unpacked.text);
    match reader.assignment.map(|assignment| assignment.cluster) {
        _ if reader.remaining.is_none() => ConfiguredCluster::Unknown,
        None | Some(ConfiguredCluster::Default) if reader.may_be_fetched => ConfiguredCluster::Unknown,
        None => ConfiguredCluster::Default,
        Some(cluster) => cluster,
    }
}

#[derive(Default)]
struct Reader {
    variables: Variables,
    /// The assignment of the cluster that is in force after a line.
    assignment: Option<Assignment>,
    may_be_fetched: bool,
    /// The bytes that may still be read; `None` if there was more.
    remaining: Option<usize>,
    /// `None` if it is not known.
    destination: Option<Destination>,
    /// The number of the file that a line is written to; the script itself is 0.
    file_number: usize,
    /// The TOML table.
    table: String,
    /// The PowerShell hash table whose keys are assigned.
    hash: Option<String>,
}

/// A command whose arguments are read differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Search,
    Assign,
}

impl Reader {
    /// Reads a text, which may be a quoted part of a line.
    fn text(&mut self, text: &str) {
        let text = if self.variables.is_powershell { &without_comments(text) } else { text };
        let mut last = HashMap::new();
        if text.contains("<<") {
            last.extend(text.lines().enumerate().map(|(at, line)| (line.trim(), at)));
        }
        let (destination, file_number) = (self.destination, self.file_number);
        let mut inside = None::<(HereDocument, ScriptScope)>;
        for (at, line) in text.lines().enumerate() {
            let tokens = tokens(line);
            let cost = line.len() + LINE + TOKEN * tokens.len();
            self.remaining = self.remaining.and_then(|remaining| remaining.checked_sub(cost));
            if self.remaining.is_none() {
                return;
            }
            match &inside {
                Some((here, scope)) if here.ends_with(line) => {
                    self.variables.leave_scope(scope);
                    (self.destination, self.file_number, inside) = (destination, file_number, None);
                }
                Some((here, _)) if here.is_comment => {}
                Some(_) => self.line(line, &tokens),
                None => {
                    let here = HereDocument::new(line).filter(|here| here.is_quoted || last.get(here.end) > Some(&at));
                    self.line(line, &tokens);
                    if let Some(here) = here {
                        self.destination = Destination::of(&tokens).or(destination).or(Some(Destination::Agent));
                        self.file_number = self.variables.next();
                        inside = Some((here, self.variables.enter_scope()));
                    }
                }
            }
        }
        if let Some((_, scope)) = &inside {
            self.variables.leave_scope(scope);
            (self.destination, self.file_number) = (destination, file_number);
        }
    }

    fn line(&mut self, line: &str, tokens: &[Token]) {
        self.may_be_fetched |= line.starts_with("#include") || (line.contains("ecs.config") && line.contains("://"));
        let text = line.trim();
        if text.starts_with(": ") || after_prefix(text, "rem ").is_some() {
            return;
        }
        if let Some(table) = text.strip_prefix('[') {
            let table = table.split(']').next().unwrap_or_default();
            self.table = toml_path(table.chars().filter(|c| !" \"'".contains(*c)).collect());
        }
        // The next file of cloud-config.
        if text.trim_start_matches("- ").starts_with("content:") {
            self.file_number = self.variables.next();
        }
        let (destination, file_number, rest_of_line) =
            (self.destination, self.file_number, self.variables.rest_of_line);
        self.redirect(tokens, destination, file_number);
        let (mut previous, mut tables) = (None, Vec::new());
        // A search pattern of `grep` and an operand of a condition are not assignments.
        let (mut command, mut is_condition, mut is_agent) = (None, false, false);
        for (at, token) in tokens.iter().enumerate() {
            let after = tokens.get(at + 1..).unwrap_or_default();
            match token {
                Token::Gap => continue,
                Token::Sign(sign) => {
                    command = command.filter(|_| !END.contains(*sign));
                    is_agent &= !";|\n".contains(*sign);
                    is_condition &= !";{\n".contains(*sign);
                    if ";\n".contains(*sign) {
                        self.variables.rest_of_line = rest_of_line;
                    }
                    let is_double = previous == Some(token);
                    if *sign == ';' || *sign == '\n' || (is_double && "&|".contains(*sign)) {
                        self.redirect(after, destination, file_number);
                    }
                    self.sign(*sign, is_double, &mut tables);
                }
                Token::Word(word) => {
                    let text = word.text.as_str();
                    self.may_be_fetched |= text.contains("cfn-init");
                    if is_first(previous) && !word.is_quoted {
                        is_condition = self.keyword(text).unwrap_or(is_condition);
                    }
                    is_agent |= text.eq_ignore_ascii_case(COMMAND);
                    if is_agent {
                        self.parameter(text, after);
                    }
                    // Only one command is read, since its arguments may look like commands.
                    command = command.or_else(|| self.command(text, after));
                    if is_condition || command == Some(Command::Search) {
                    } else if word.is_quoted && text != VARIABLE && (text.contains(VARIABLE) || text.contains(COMMAND))
                    {
                        self.quoted(&formatted(text, after, self.remaining.unwrap_or_default()));
                    } else {
                        self.name(text, previous, after, &mut tables);
                    }
                }
            }
            previous = Some(token);
        }
        (self.destination, self.file_number, self.variables.rest_of_line) = (destination, file_number, rest_of_line);
    }

    /// Reads the destination of a command's output.
    fn redirect(&mut self, command: &[Token], destination: Option<Destination>, file_number: usize) {
        self.destination = Destination::of(command).or(destination);
        let is_other = destination.is_none() && self.destination == Some(Destination::OtherFile);
        self.file_number = if is_other { self.variables.next() } else { file_number };
    }

    /// Reads a quoted text. Its assignments are an argument, unless it is a whole script.
    fn quoted(&mut self, text: &str) {
        let (destination, blocks) = (self.destination, self.variables.blocks.len());
        self.destination = if text.starts_with("#!") { None } else { destination.or(Some(Destination::Agent)) };
        self.text(text);
        self.variables.blocks.truncate(blocks);
        self.destination = destination;
    }

    fn sign(&mut self, sign: char, is_double: bool, tables: &mut Vec<String>) {
        match sign {
            '{' if self.variables.is_powershell => self.variables.enter_block(),
            '}' => {
                tables.pop();
                self.hash = None;
                if self.variables.is_powershell {
                    self.variables.leave_block();
                }
            }
            ';' if is_double => self.variables.next_branch(),
            '&' | '|' if is_double => self.variables.rest_of_line = Some(self.variables.next()),
            _ => {}
        }
    }

    /// Reads the first word of a command. Returns whether a condition begins or ends with it.
    fn keyword(&mut self, word: &str) -> Option<bool> {
        let word = word.to_ascii_lowercase();
        if !self.variables.is_powershell {
            match word.as_str() {
                "if" | "case" => self.variables.enter_block(),
                "else" | "elif" => self.variables.next_branch(),
                "fi" | "esac" => self.variables.leave_block(),
                _ => {}
            }
        }
        match word.as_str() {
            "if" | "elif" | "elseif" | "while" | "until" | "switch" => Some(true),
            "then" | "do" | "else" => Some(false),
            _ => None,
        }
    }

    /// Reads a parameter of `Initialize-ECSAgent`: `-Cluster x`, `-Cluster:x` or, with a hash table, `@x`.
    fn parameter(&mut self, word: &str, after: &[Token]) {
        if let Some(hash) = word.strip_prefix('@') {
            match self.variables.get(&format!("{hash}.Cluster")).map(|value| value.text.clone()) {
                Some(value) => self.set(value.as_deref(), true),
                None => self.may_be_fetched = true,
            }
        }
        // Word processors turn the hyphen into a dash, which PowerShell accepts.
        let Some(parameter) = word.strip_prefix(['-', '\u{2013}', '\u{2014}', '\u{2015}', '\u{fffd}']) else { return };
        match after_prefix(parameter, "Cluster") {
            Some("") => self.assign(VARIABLE, &value(after), true),
            Some(rest) => {
                if let Some(value) = rest.strip_prefix(':') {
                    self.assign(VARIABLE, value, true);
                }
            }
            None => {}
        }
    }

    /// Reads a command whose arguments are read differently.
    fn command(&mut self, command: &str, after: &[Token]) -> Option<Command> {
        let command = command.to_ascii_lowercase();
        match command.strip_suffix(".exe").unwrap_or(&command) {
            "grep" | "egrep" | "fgrep" | "awk" | "findstr" | "select-string" | "-match" | "-notmatch" | "-like"
            | "-notlike" | "-eq" | "-ne" => {}
            "sed" | "perl" => self.edit(&arguments(after)),
            "setx" | "set-item" | "new-item" | "si" | "ni" | "set-content" | "set-itemproperty"
            | "new-itemproperty" | "reg" => {
                if let Some(value) = set_value(&arguments(after)) {
                    self.assign(VARIABLE, value, true);
                }
                return Some(Command::Assign);
            }
            _ => return None,
        }
        Some(Command::Search)
    }

    fn edit(&mut self, arguments: &[String]) {
        let Some(file) = arguments.last() else { return };
        if !is_in_place(arguments) && self.destination != Some(Destination::Agent) {
            return;
        }
        for script in arguments {
            let cluster = match &self.assignment {
                Some(Assignment { cluster: ConfiguredCluster::Cluster(name), .. }) => Some(name.as_str()),
                _ => None,
            };
            if let Some(value) = edit(script, file.contains("ecs.config"), cluster) {
                self.assign(VARIABLE, &value, !is_other_file(file));
            }
        }
    }

    /// Reads a name that something may be assigned to.
    fn name(&mut self, text: &str, previous: Option<&Token>, after: &[Token], tables: &mut Vec<String>) {
        let after = without_gap(after);
        let [Token::Sign(sign), after @ ..] = after else { return };
        if *sign == '(' && ends_with(text, "SetEnvironmentVariable") {
            if let [Token::Word(name), after @ ..] = without_gap(after)
                && let [Token::Sign(','), after @ ..] = without_gap(after)
            {
                self.assign(&name.text, &value(after), true);
            }
            return;
        }
        let variable = text.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
        let variable = variable.map(|name| after_prefix(name, "env:").unwrap_or(name));
        let name = variable.unwrap_or(text);
        let path = format!("{}.{name}", tables.last().unwrap_or(&self.table));
        let is_cluster = self.variables.key(name) == VARIABLE;
        let is_assigned = match sign {
            '=' if matches!(after, [Token::Sign('='), ..]) => false,
            // In other positions, as in `[ $A = x ]`, it is compared.
            '=' => variable.is_none() || is_first(previous),
            ':' => is_cluster && is_first(previous),
            _ => false,
        };
        if path.trim_start_matches('.') == SETTING {
            self.assign(VARIABLE, &value(after), true);
        } else if is_assigned && let Some(hash) = &self.hash {
            self.assign(&format!("{hash}.{name}"), &value(after), false);
        } else if is_assigned {
            let value = if variable.is_some() { expression(after) } else { value(after) };
            let is_bare = *sign == '=' && variable.is_none() && begins_command(previous);
            let is_setting = match self.destination {
                // Escaped text is for a script that is run later.
                _ if value.contains('\\') => false,
                Some(Destination::Agent) => true,
                Some(Destination::OtherFile) => false,
                None => !is_bare,
            };
            self.assign(name, &value, is_setting);
            // `@{` or `[ordered]@{`
            let begins_hash = |pair: &[Token]| matches!(pair, [Token::Word(at), Token::Sign('{')] if at.text == "@");
            if self.variables.is_powershell && after.windows(2).take(5).any(begins_hash) {
                self.hash = Some(name.to_owned());
            }
        }
        if let [Token::Sign('{'), ..] = without_gap(after) {
            tables.push(toml_path(path));
        }
    }

    fn assign(&mut self, name: &str, value: &str, is_setting: bool) {
        let value = self.variables.resolve(value);
        if self.variables.key(name) == VARIABLE {
            self.set(value.as_deref(), is_setting);
        }
        self.variables.assign(name, value);
    }

    /// Records an assignment of the cluster.
    fn set(&mut self, value: Option<&str>, is_setting: bool) {
        let new = Assignment::new(value, is_setting, self.variables.block(), self.file_number);
        self.assignment = Some(match self.assignment.take() {
            Some(old) => old.followed_by(new),
            None => new,
        });
    }
}

/// A path of TOML keys; `elsewhere` if it can't lead to the cluster.
fn toml_path(path: String) -> String {
    if SETTING.starts_with(path.trim_start_matches('.')) { path } else { "elsewhere".to_owned() }
}
