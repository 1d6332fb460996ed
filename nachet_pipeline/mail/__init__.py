"""What people are told by e-mail: mails made of the outbox, written in the language of their reader, and sent."""
