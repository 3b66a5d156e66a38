package cephlab

import (
	"fmt"
	"os"
	"path/filepath"
)

// alwaysOn are the manager's modules without which Ceph 16 is HEALTH_ERR.
var alwaysOn = []string{
	"balancer", "crash", "devicehealth", "orchestrator", "pg_autoscaler",
	"progress", "rbd_support", "status", "telemetry", "volumes",
}

// moduleBase stands in for Ceph's own mgr_module.
const moduleBase = `import ceph_module


class MgrModule(ceph_module.BaseMgrModule):
    COMMANDS = []
    MODULE_OPTIONS = []
    NOTIFY_TYPES = []

    def __init__(self, module_name, py_modules_ptr, this_ptr):
        super().__init__(py_modules_ptr, this_ptr)

    @classmethod
    def _register_options(cls, module_name):
        pass

    @classmethod
    def _register_commands(cls, module_name):
        pass

    def serve(self):
        pass

    def shutdown(self):
        pass

    def notify(self, notify_type, notify_id):
        pass

    def config_notify(self):
        pass

    @staticmethod
    def can_run():
        return True, ""


class MgrStandbyModule(ceph_module.BaseMgrStandbyModule):
    pass
`

// writeModules writes modules that do nothing in the place of the manager's
// own: loading those, which no lab needs, would be most of the work of a lab's
// start.
func writeModules(dir string) error {
	files := map[string]string{"mgr_module.py": moduleBase}
	for _, name := range alwaysOn {
		files[name+"/__init__.py"] = "from .module import Module\n"
		files[name+"/module.py"] = "from mgr_module import MgrModule\n\n\nclass Module(MgrModule):\n    pass\n"
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("write the manager's modules: %w", err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the manager's modules: %w", err)
		}
	}
	return nil
}
