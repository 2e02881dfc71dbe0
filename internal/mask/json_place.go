package mask

// within says that the value stands in a member of that name.
func (j *jsonStream) within(name string) {
	j.path.enter([]byte(name), false)
	j.path.keep()
}

// enter goes into a member or an element.
func (j *jsonStream) enter(name []byte, elem bool) {
	j.path.enter(name, elem)
	if j.named() {
		j.steps = append(j.steps, string(name))
	}
	if j.dynamo {
		j.kinds = append(j.kinds, kindIn(name, elem, j.kinds))
	}
}

// left goes back to what encloses a value that has ended.
func (j *jsonStream) left() {
	if len(j.open) == 0 {
		j.want = done
		return
	}
	j.want = after
	j.path.leave()
	if j.dynamo {
		j.kinds = j.kinds[:len(j.kinds)-1]
	}
	if j.named() {
		j.steps = j.steps[:len(j.steps)-1]
	}
}

// named reports whether the names on the way are kept.
func (j *jsonStream) named() bool { return j.edit != nil || j.m.parts }

// kindIn is the kind of text in a DynamoDB attribute value of that type.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
func kindIn(name []byte, elem bool, outer []Kind) Kind {
	if elem && len(outer) > 0 {
		return outer[len(outer)-1]
	}
	switch string(name) {
	case "N", "NS":
		return Number
	case "B", "BS":
		return Blob
	}
	return Text
}

func (j *jsonStream) kind() Kind {
	if len(j.kinds) == 0 {
		return Text
	}
	return j.kinds[len(j.kinds)-1]
}

// ruleKind is the kind of a text that a rule selects.
func (j *jsonStream) ruleKind() Kind {
	if len(j.kinds) == 0 {
		return open
	}
	return j.kind()
}
