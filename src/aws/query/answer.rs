//! Answers of query APIs, in XML.

use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

use crate::error::BoxError;

/// Where Amazon EC2 has it, the only one of these services whose answers have several pages here.
const NEXT_TOKEN: &str = "nextToken";

/// A list in an answer, and what is read of its members. Everything else in them is skipped.
#[derive(Debug)]
pub(crate) struct List {
    /// The path of its members, such as `tagSet/item`: below the root, or below the member that the list is in. `*` is
    /// any element.
    pub(crate) path: &'static str,
    /// Paths below a member, such as `SuspendedProcesses/member/ProcessName`.
    pub(crate) fields: &'static [&'static str],
    /// Lists in each member.
    pub(crate) lists: &'static [&'static Self],
}

/// A member of a list: the elements that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Record {
    fields: Vec<(&'static str, String)>,
    /// The members of its lists, with the lists' paths.
    members: Vec<(&'static str, Self)>,
}

/// The members of a list, and the token of the next page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) members: Vec<Record>,
    pub(crate) next_token: Option<String>,
}

/// What is read of an element.
#[derive(Clone, Copy, Debug)]
enum Part {
    Field(&'static str),
    List(&'static List),
}

impl List {
    /// No list: only errors are of interest.
    pub(crate) const NONE: Self = Self::new("", &[]);

    /// A list without lists in its members.
    pub(crate) const fn new(path: &'static str, fields: &'static [&'static str]) -> Self {
        Self { path, fields, lists: &[] }
    }

    /// Reads an answer, whose root is `OPERATIONResponse`.
    pub(super) fn read(&'static self, operation: &str, xml: &str) -> Result<Page, BoxError> {
        let mut document = Document::new(xml);
        let mut root = document.root_element()?;
        let name = root.start_el().local();
        if name.strip_suffix("Response") != Some(operation) {
            return Err(format!("its root is {name}, expected {operation}Response").into());
        }
        let answer = Record::read(&mut root, &[NEXT_TOKEN], &[self])?;
        let next_token = answer.text(NEXT_TOKEN);
        Ok(Page { members: answer.members.into_iter().map(|(_, member)| member).collect(), next_token })
    }
}

impl Record {
    pub(super) fn read(
        element: &mut ScopedDecoder<'_, '_>,
        fields: &[&'static str],
        lists: &[&'static List],
    ) -> Result<Self, BoxError> {
        let mut record = Self::default();
        let fields = fields.iter().map(|field| (Part::Field(field), *field));
        let lists = lists.iter().map(|list| (Part::List(list), list.path));
        record.add(element, &fields.chain(lists).collect::<Vec<_>>())?;
        Ok(record)
    }

    /// Adds what is below an element. Each part comes with the rest of its path.
    fn add(&mut self, element: &mut ScopedDecoder<'_, '_>, parts: &[(Part, &'static str)]) -> Result<(), BoxError> {
        while let Some(mut child) = element.next_tag() {
            let below = |(part, path): &(Part, &'static str)| {
                let (first, rest) = path.split_once('/').unwrap_or((path, ""));
                (first == "*" || child.start_el().matches(first)).then_some((*part, rest))
            };
            let found: Vec<_> = parts.iter().filter_map(below).collect();
            match found[..] {
                [] => {}
                [(Part::Field(field), "")] => self.fields.push((field, try_data(&mut child)?.into_owned())),
                [(Part::List(list), "")] => {
                    self.members.push((list.path, Self::read(&mut child, list.fields, list.lists)?));
                }
                _ => self.add(&mut child, &found)?,
            }
        }
        Ok(())
    }

    /// The text of an element; of the first one, if there are several.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.all(field).next()
    }

    /// The text of an element, unless it is empty.
    pub(crate) fn text(&self, field: &str) -> Option<String> {
        self.get(field).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The texts of all elements.
    pub(crate) fn all(&self, field: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(name, _)| *name == field).map(|(_, text)| text.as_str())
    }

    /// The members of a list.
    pub(crate) fn list(&self, list: &List) -> impl Iterator<Item = &Self> {
        self.members.iter().filter(|(path, _)| *path == list.path).map(|(_, member)| member)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: List = List {
        path: "*/Groups/member",
        fields: &["Name", "Processes/member/Name", "Operator/Principal"],
        lists: &[&TAGS],
    };

    const TAGS: List = List::new("Tags/member", &["Key", "Value"]);

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<DescribeResponse xmlns=\"http://x/\"><Result><Groups>\
        <member><Name>a &amp; b</Name><Other><Name>no</Name></Other><Processes>\
        <member><Name>p</Name><Reason>r</Reason></member><member><Name>q</Name></member></Processes>\
        <Tags><member><Key>k</Key></member><member><Value>w</Value><Key>l</Key></member></Tags></member>\
        <member><Name/><Operator><Principal>eks</Principal></Operator></member><member/></Groups><NextToken>t</NextToken>\
        </Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeResponse>";

    #[test]
    fn asked_elements_of_each_member_are_read() {
        let Page { members, next_token } = LIST.read("Describe", ANSWER).unwrap();
        assert_eq!((members.len(), next_token), (3, None));
        let text = |field| [0, 1, 2].map(|n: usize| members[n].get(field));
        assert_eq!(text("Name"), [Some("a & b"), Some(""), None]);
        assert_eq!(text("Operator/Principal"), [None, Some("eks"), None]);
        assert_eq!(members[0].all("Processes/member/Name").collect::<Vec<_>>(), ["p", "q"]);
        let tags: Vec<_> = members[0].list(&TAGS).map(|tag| (tag.get("Key"), tag.get("Value"))).collect();
        assert_eq!(tags, [(Some("k"), None), (Some("l"), Some("w"))]);
        assert_eq!(members[1].list(&TAGS).count(), 0);
        assert!(List::NONE.read("Describe", ANSWER).unwrap().members.is_empty());
        for other in ["", "no XML", "<html/>", "<Response/>", "<DescribeOthersResponse/>"] {
            assert!(LIST.read("Describe", other).is_err(), "{other}");
        }
    }

    #[test]
    fn members_of_nested_lists_and_pages_are_read() {
        const LIST: List = List::new("reservationSet/item/instancesSet/item", &["instanceId"]);
        let item = |id: &str| format!("<item><instanceId>{id}</instanceId></item>");
        let reservation = |items: &str| format!("<item><instancesSet>{items}</instancesSet></item>");
        let reservations = reservation(&(item("i-1") + &item("i-2"))) + "<item/>" + &reservation(&item("i-3"));
        for (token, expected) in [("", None), ("<nextToken/>", None), ("<nextToken>a=</nextToken>", Some("a="))] {
            let answer = format!(
                "<GetResponse><requestId>1</requestId><reservationSet>{reservations}</reservationSet>{token}</GetResponse>"
            );
            let Page { members, next_token } = LIST.read("Get", &answer).unwrap();
            let ids: Vec<_> = members.iter().filter_map(|instance| instance.get("instanceId")).collect();
            assert_eq!((ids, next_token.as_deref()), (vec!["i-1", "i-2", "i-3"], expected));
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(at in 0..ANSWER.len(), with in "[<>/&a-zN ]{0,3}") {
            let cut = ANSWER.char_indices().map(|(at, _)| at).take_while(|start| *start <= at).last().unwrap_or_default();
            let _ = LIST.read("Describe", &ANSWER[..cut]);
            let _ = LIST.read("Describe", &format!("{}{with}{}", &ANSWER[..cut], &ANSWER[cut..]));
        }
    }
}
