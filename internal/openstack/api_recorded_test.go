package openstack

// The users and projects of the recording.
const (
	recordedAdmin       = "92a2cdc36f0f4af98f6b47f62ad17054"
	recordedDemo        = "db16def56ca2417d983ce1d39137d869"
	recordedProject     = "01d34de3d09e4011aadc3ad51fcf0b82"
	recordedDemoProject = "b46436c242d34f9588c5dee884eaf8d3"
)
