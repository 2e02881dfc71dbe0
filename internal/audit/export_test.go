package audit_test

import stdcontext "context"

// context is what writers without a test use.
func context() stdcontext.Context { return stdcontext.Background() }
