//! Answers of query APIs, in XML.

use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

use crate::error::BoxError;

/// A list in an answer, and the elements of its members that are read.
#[derive(Debug)]
pub(crate) struct List {
    /// The list's element; empty if there is none to be read.
    pub(crate) name: &'static str,
    /// Paths below a member, such as `SuspendedProcesses/member/ProcessName`.
    pub(crate) fields: &'static [&'static str],
}

impl List {
    /// No list: only errors are of interest.
    pub(crate) const NONE: Self = Self { name: "", fields: &[] };

    /// Reads the members of the list in `<ActionResponse><ActionResult>`. Elements that are not asked for are skipped.
    pub(super) fn read(&self, xml: &str) -> Result<Vec<Record>, BoxError> {
        let mut records = Vec::new();
        let mut document = Document::new(xml);
        let mut response = document.root_element()?;
        while let Some(mut result) = response.next_tag() {
            while let Some(mut list) = result.next_tag() {
                if list.start_el().matches(self.name) {
                    while let Some(mut member) = list.next_tag() {
                        records.push(Record::read(&mut member, self.fields)?);
                    }
                }
            }
        }
        Ok(records)
    }
}

/// A member of a list: the elements that were asked for, with their texts.
#[derive(Debug, Default)]
pub(crate) struct Record(Vec<(&'static str, String)>);

impl Record {
    pub(super) fn read(element: &mut ScopedDecoder<'_, '_>, fields: &[&'static str]) -> Result<Self, BoxError> {
        let mut record = Self::default();
        let fields: Vec<_> = fields.iter().map(|field| (*field, *field)).collect();
        record.add(element, &fields)?;
        Ok(record)
    }

    /// Adds what is below an element. Each field comes with the rest of its path.
    fn add(
        &mut self,
        element: &mut ScopedDecoder<'_, '_>,
        fields: &[(&'static str, &'static str)],
    ) -> Result<(), BoxError> {
        while let Some(mut child) = element.next_tag() {
            let below = |(field, path): &(&'static str, &'static str)| {
                let (first, rest) = path.split_once('/').unwrap_or((path, ""));
                child.start_el().matches(first).then_some((*field, rest))
            };
            let found: Vec<_> = fields.iter().filter_map(below).collect();
            match found[..] {
                [] => {}
                [(field, "")] => self.0.push((field, try_data(&mut child)?.into_owned())),
                _ => self.add(&mut child, &found)?,
            }
        }
        Ok(())
    }

    /// The text of an element; of the first one, if there are several.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.all(field).next()
    }

    /// The texts of all elements.
    pub(crate) fn all(&self, field: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| *name == field).map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: List = List { name: "Groups", fields: &["Name", "Processes/member/Name", "Operator/Principal"] };

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<R xmlns=\"http://x/\"><Result><Groups>\
        <member><Name>a &amp; b</Name><Other><Name>no</Name></Other><Processes>\
        <member><Name>p</Name><Reason>r</Reason></member><member><Name>q</Name></member></Processes></member>\
        <member><Name/><Operator><Principal>eks</Principal></Operator></member><member/></Groups><NextToken>t</NextToken>\
        </Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></R>";

    #[test]
    fn asked_elements_of_each_member_are_read() {
        let records = LIST.read(ANSWER).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].get("Name"), records[1].get("Name"), records[2].get("Name")),
            (Some("a & b"), Some(""), None)
        );
        assert_eq!(records[0].all("Processes/member/Name").collect::<Vec<_>>(), ["p", "q"]);
        assert_eq!((records[0].get("Operator/Principal"), records[1].get("Operator/Principal")), (None, Some("eks")));
        assert!(List::NONE.read(ANSWER).unwrap().is_empty());
        assert!(LIST.read("").is_err() && LIST.read("no XML").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics(at in 0..ANSWER.len(), with in "[<>/&a-zN ]{0,3}") {
            let cut = ANSWER.char_indices().map(|(at, _)| at).take_while(|start| *start <= at).last().unwrap_or_default();
            let _ = LIST.read(&ANSWER[..cut]);
            let _ = LIST.read(&format!("{}{with}{}", &ANSWER[..cut], &ANSWER[cut..]));
        }
    }
}
