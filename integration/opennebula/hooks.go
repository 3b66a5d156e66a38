package frontend

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Types of hooks.
const (
	TypeState = "state" // runs when a VM or image enters a state
	TypeAPI   = "api"   // runs after a call, also a failed one
)

// Hook is one hook of OpenNebula.
type Hook struct {
	// Name identifies the hook; OpenNebula itself identifies it by number.
	Name string
	// Type is TypeState or TypeAPI.
	Type string
	// Resource is VM or IMAGE, of a state hook.
	Resource string
	// On is the condition, of a VM's state hook: CUSTOM, or a state's own word.
	// OpenNebula resolves it when the hook is created, and does not keep it.
	// (Beware: SHUTDOWN stands for ACTIVE/EPILOG.)
	On string
	// State and LCMState are the state, of a state hook. A VM's hook has them
	// whatever On is, because an update of a hook does not know On.
	State, LCMState string
	// Call is the method, of an API hook.
	Call string
}

// Hooks returns the hooks that the service needs: one for each state in which
// disks are destroyed, or in which it is told that they were. OpenNebula does
// not repeat an event that a hook missed, so that several states of one act are
// heard.
func Hooks() []Hook {
	active := func(name, lcm string) Hook {
		return Hook{Name: "quarantine-vm-" + name, Type: TypeState, Resource: "VM", On: "CUSTOM", State: "ACTIVE", LCMState: lcm}
	}
	return []Hook{
		active("epilog", "EPILOG"),
		active("epilog-failure", "EPILOG_FAILURE"),
		active("cleanup-delete", "CLEANUP_DELETE"),
		active("cleanup-resubmit", "CLEANUP_RESUBMIT"),
		active("hotplug", "HOTPLUG"),
		active("hotplug-epilog-poweroff", "HOTPLUG_EPILOG_POWEROFF"),
		{Name: "quarantine-vm-done", Type: TypeState, Resource: "VM", On: "DONE", State: "DONE", LCMState: "LCM_INIT"},
		{Name: "quarantine-image-delete", Type: TypeState, Resource: "IMAGE", State: "DELETE"},
		{Name: "quarantine-api-image-delete", Type: TypeAPI, Call: "one.image.delete"},
	}
}

// Template returns the hook as the template that `onehook create` and
// one.hook.allocate take, in XML. The command is the path of the hook's script
// on the front-end.
func Template(h Hook, command string) string {
	arguments := "$TEMPLATE"
	if h.Type == TypeAPI {
		arguments = "$API"
	}
	var b strings.Builder
	b.WriteString("<TEMPLATE>")
	for _, attr := range [][2]string{
		{"NAME", h.Name}, {"TYPE", h.Type}, {"RESOURCE", h.Resource}, {"ON", h.On}, {"STATE", h.State},
		{"LCM_STATE", h.LCMState}, {"CALL", h.Call}, {"COMMAND", command}, {"ARGUMENTS", arguments},
		{"ARGUMENTS_STDIN", "yes"}, {"REMOTE", "NO"},
	} {
		if attr[1] == "" {
			continue
		}
		fmt.Fprintf(&b, "<%s>", attr[0])
		// A strings.Builder takes everything.
		_ = xml.EscapeText(&b, []byte(attr[1]))
		fmt.Fprintf(&b, "</%s>", attr[0])
	}
	b.WriteString("</TEMPLATE>")
	return b.String()
}
