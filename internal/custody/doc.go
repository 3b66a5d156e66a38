// Package custody keeps the tamper-evident log of every act: who did what to
// which disk, when, why, and what came of it.
//
// # The file
//
// The log is one file that only grows, one JSON object a line, readable by its
// owner only:
//
//	{"seq":7,"prev":"<hash of line 6>","back":512,"entry":{…},"hash":"<hash of line 7>"}
//
// The members stand in this order, without spaces. seq counts the lines from
// 1. prev is the hash of the line before; of the first line it is 64 zeros.
// back is the byte offset of the line before that is about the same disk, or
// −1; with it a disk's history is read without reading the file. entry is the
// act, as quarantine.Entry is written in JSON: members in the order of their
// declaration, keys of detail sorted, times in UTC. What JSON cannot hold
// (bytes that are not UTF-8) is written as U+FFFD. hash is the SHA-256, in
// lower-case hex, of the bytes of the line before `,"hash":`. It is computed
// over what is in the file, so that nobody needs this program to check it:
//
//	sed -n 7p custody.jsonl | sed -E 's/,"hash":"[0-9a-f]{64}"\}$//' | tr -d '\n' | sha256sum
//
// # What the chain proves
//
// Each line names the hash of the one before, so the hash of the last line
// stands for the whole file. A changed byte, a line taken out, put in or moved
// breaks the chain at that place, and Verify says where.
//
// What it does not prove: that nobody rewrote the file from some line to its
// end, or cut lines off its end. The hashes have no secret in them; whoever can
// write the file can compute them all anew, and the result verifies. Against
// that the head must be known elsewhere: Head gives the last line's number and
// hash; copied to where this machine's administrators cannot write (a log
// host, a mail, paper), it shows for ever whether line N still has that hash.
// While a process has the log open it remembers its own head, and Verify
// compares.
//
// # Order of writing
//
// Entries that wait at the same time are written with one write and made
// durable with one fsync; Append returns nil after that, never before. So a
// crash can leave, after the last acknowledged line, some lines that nobody
// was told of, which are true and stay, and the beginning of one more. That
// beginning has no newline. Open puts it aside, into the file of the same name
// with ".torn" at its end, and cuts it off: it was never acknowledged, so
// nothing was done on its account. A write that fails (the disk is full) is
// cut off in the same way before anything else is written. After a failed
// fsync nothing is written any more until the log is opened again, because the
// kernel does not say what is on the disk then.
//
// # A damaged log
//
// A line with its newline whose hash or place does not fit was changed by
// somebody, or by the disk. Open succeeds, so that capture, which only notes
// its acts, goes on. Verify and Entries say where the damage is. Append
// refuses: a chain over a damaged line would vouch for it, and acts that need
// custody must wait for a person. He keeps the file as it is, compares it with
// his copies, moves it away, and the next Open begins a new one.
//
// Where the file system has the attribute, `chattr +a` lets nobody but root
// change what is written. It also forbids to cut off a torn line: Append says
// so and fails until the attribute is taken off once.
package custody
