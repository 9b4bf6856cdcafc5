#pragma once
#include <memory>
#include <string>

#include "transport/link.h"
#include "transport/verbs/device.h"
#include "transport/wire/conversation.h"

namespace espalier::transport::verbs {

/// Joins two ranks by a queue pair; both ends call it at the same point of their conversation. First both set
/// themselves up and tell each other where they are, then both connect, then each waits for a frame of the other: UC
/// gives no error when there is no way. Null with the reason, at both ends, if either cannot; the connection can then be
/// used for something else. Fails as the conversation does.
/// `device` "": the only active one.
Status settle(Shelf& shelf, const std::string& device, const Conversation& talk, std::unique_ptr<Link>& link,
              std::string& why);

}  // namespace espalier::transport::verbs
