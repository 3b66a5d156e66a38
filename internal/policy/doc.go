// Package policy decides how long a deleted disk is kept: YAML files with
// rules in order, each with a CEL expression over the facts of the deletion,
// become a pure function from quarantine.Facts to quarantine.Decision.
//
// Several files of a directory form one ordered list of rules, by file name;
// exactly one of them has the default. A rule whose expression fails while it
// is evaluated (it reads a metadata key that this deletion lacks, say) is
// treated as one that may have matched: the disk is then kept for the longest
// of what the failed rules and the deciding rule give. A mistake in a rule
// never shortens a retention.
package policy
