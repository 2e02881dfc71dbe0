package attacks_test

import (
	"encoding/json"
	"os/exec"
	"os/user"
	"testing"

	"github.com/credence-gateway/credence/test/gateway"
)

// ticket is what `credence approvals list` says of a call that waits for people.
type ticket struct{ ID, Operation, Holds string }

// ownGroup is the group of the user who runs the test, and so of those who may
// approve here.
func ownGroup(t *testing.T) string {
	t.Helper()
	me, err := user.Current()
	check(t, err)
	group, err := user.LookupGroupId(me.Gid)
	check(t, err)
	return group.Name
}

// approvals runs `credence approvals` and returns what it prints.
func approvals(u *gateway.Unit, args ...string) string {
	out, _ := exec.Command(gateway.Binary, append([]string{"--config", u.Config(), "approvals"}, args...)...).CombinedOutput()
	return string(out)
}

// tickets lists those that wait; none until the gateway answers.
func tickets(u *gateway.Unit) (list []ticket) {
	_ = json.Unmarshal([]byte(approvals(u, "list", "-o", "json")), &list)
	return list
}
