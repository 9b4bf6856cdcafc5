#pragma once
#include <charconv>
#include <string>
#include <string_view>

#include "status.h"

// Environment variables, and what to say about wrong ones.

namespace espalier::mpi {

/// Empty: not there, or empty.
std::string variable(const char* name);

Status invalid(const std::string& message);

template <class Number>
bool parseNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Sets `number` if the variable is there.
template <class Number>
Status readNumber(const char* name, Number& number) {
  const std::string text = variable(name);
  if (text.empty() || parseNumber(text, number)) return Status::success();
  return invalid(std::string(name) + " is \"" + text + "\", must be a whole number");
}

}  // namespace espalier::mpi
