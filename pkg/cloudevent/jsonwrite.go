package cloudevent

import (
	"encoding/base64"
	"slices"
	"unicode/utf8"
)

// AppendJSON appends the event in the JSON format. Data is a JSON value if it
// is one and is declared as one (or not declared), a string if it is declared
// as text and is UTF-8, and Base64 in all other cases. Version 0.3 names the
// Base64 in another place (its json-format.md, section 3.1).
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = slices.Grow(dst, e.StoredSize()+64+8*len(e.attrs))
	dst = append(dst, `{"specversion":"`...)
	dst = append(append(dst, e.specVersion()...), '"')
	dst = appendMember(dst, attrID, Value{String, e.id})
	dst = appendMember(dst, attrSource, Value{String, e.source})
	dst = appendMember(dst, attrType, Value{String, e.typ})
	for i := range e.attrs {
		dst = appendMember(dst, e.attrs[i].name, e.attrs[i].Value)
	}
	return append(e.appendData(dst), '}')
}

func appendMember(dst []byte, name string, v Value) []byte {
	dst = append(dst, ',')
	dst = appendQuoted(dst, name)
	dst = append(dst, ':')
	if v.Kind == String {
		return appendQuoted(dst, v.S)
	}
	return append(dst, v.S...)
}

func (e *Event) appendData(dst []byte) []byte {
	if len(e.data) == 0 {
		return dst
	}
	contentType, declared := e.Get(attrDataContentType)
	_, encoded := e.Get(attrDataContentEncoding)
	switch {
	case e.old && encoded: // the sender has encoded it
		dst = append(dst, `,"data":`...)
		return appendQuoted(dst, string(e.data))
	case (!declared || isJSON(contentType)) && validJSON(e.data):
		dst = append(dst, `,"data":`...)
		return append(dst, e.data...)
	case isText(contentType) && utf8.Valid(e.data):
		dst = append(dst, `,"data":`...)
		return appendQuoted(dst, string(e.data))
	}
	if e.old {
		dst = append(dst, `,"datacontentencoding":"base64","data":"`...)
	} else {
		dst = append(dst, `,"data_base64":"`...)
	}
	dst = base64.StdEncoding.AppendEncode(dst, e.data)
	return append(dst, '"')
}

// appendQuoted appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
		} else {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
