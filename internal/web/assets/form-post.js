// Sends the only form of the page: OAuth 2.0 Form Post Response Mode §2. Without script, its button does.
document.forms[0].submit();
